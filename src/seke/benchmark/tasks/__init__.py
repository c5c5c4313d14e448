"""The benchmarks: what each asks, and what of an answer it scores."""
