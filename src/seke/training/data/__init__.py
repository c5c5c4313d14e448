"""Instruction rows -> batches: mixtures, samples, packing, kept vision features."""
