"""Records -> a prepared directory: checks, leakage, splits, statistics."""
