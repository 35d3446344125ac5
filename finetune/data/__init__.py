"""From image files and data sets to network input."""
