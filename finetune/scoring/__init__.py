"""From names of many pictures to one file with a row for each."""
