"""Witnesses: tables of what others say about the records: specialists, runs of other models, the tuned student."""
