"""Datasets of scenes that evoke an emotion, one file each."""
