"""Export a model for other programs: one module a format; `export.py` has each loaded again before it counts."""
