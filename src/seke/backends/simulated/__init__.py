"""Simulated annotators and judges of synthetic pictures: no model, no network."""
