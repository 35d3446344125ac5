"""`finetune check`: one read-only pass over a data set that says what would hurt training and what is worth knowing."""
