"""Tables and figures in their file formats."""
