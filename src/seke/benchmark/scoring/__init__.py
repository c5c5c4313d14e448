"""Predictions -> numbers: metrics, intervals, tests, tables."""
