"""A whole generation: its journal, budget, engines, review, and what is written at the end."""
