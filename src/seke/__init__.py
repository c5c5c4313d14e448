"""SEKE: annotate faces with a vision LLM, fine-tune on the result, benchmark, report."""
