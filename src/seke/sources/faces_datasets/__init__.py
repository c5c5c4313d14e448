"""Datasets of faces, one file each."""
