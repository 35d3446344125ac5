"""Published weights: where they are, how each file format is read, and how they enter a network."""
