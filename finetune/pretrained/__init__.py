"""Published weights: where they are, how they are fetched, and how a weights file enters a network."""
