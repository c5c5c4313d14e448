"""Finished runs become tables, figures and one self-contained page."""
