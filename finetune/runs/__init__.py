"""The run directory that a training leaves: its files, and what can be read from them."""
