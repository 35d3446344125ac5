"""Launcher for a checkout: `python cli.py train …` is `finetune train …`."""

from finetune.cli.app import main

if __name__ == "__main__":  # not in a process that `finetune teach` starts to train in
    main()
