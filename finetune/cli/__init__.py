"""The `finetune` command: a file for each command, and what all of them share."""
