"""Sets made of other prepared sets."""
