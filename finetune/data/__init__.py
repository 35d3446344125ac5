"""From a folder of pictures to network input."""
