"""`finetune check`: one read-only pass over a data set that reports what would hurt training and what is unusual."""
