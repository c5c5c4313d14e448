"""Studies: the paper's tables and figures beside our runs."""
