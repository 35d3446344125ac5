"""Score any number of images into one file with a row for each."""
