"""FEAB: ask a vision LLM about every test face, read its answers, score them."""
