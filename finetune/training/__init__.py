"""From data and weights to a trained classifier."""
