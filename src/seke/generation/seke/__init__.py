"""SEKE (Algorithm 1): the questions, the draws, when to stop, the summary."""
