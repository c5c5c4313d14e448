"""Models small enough for two CPU cores, of the same architectures."""
