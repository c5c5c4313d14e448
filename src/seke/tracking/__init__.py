"""Weights & Biases: one run for every command, with numbers and pictures."""
