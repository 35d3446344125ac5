"""Launcher for a checkout: `python cli.py train …` is `finetune train …`."""

from finetune.cli import main

main()
