"""Weights files: one reader per format, each without running any code from the file."""
