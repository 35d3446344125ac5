"""Launcher for a checkout: `python cli.py train …` is `finetune train …`."""

from finetune.cli.app import main

main()
