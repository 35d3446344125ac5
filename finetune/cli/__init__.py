"""The `finetune` command line: one file for each command, and the modules that they share."""
