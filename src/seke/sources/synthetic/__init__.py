"""Drawn faces and scenes: the embedded default."""
