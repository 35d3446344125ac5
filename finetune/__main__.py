"""What `finetune` and `python -m finetune` run."""

import sys


def main() -> None:
    """Run the command line, and answer Ctrl-C while it is still being imported like later ones."""
    try:
        from finetune.cli.app import main as run
    except KeyboardInterrupt:
        print("finetune: error: interrupted; nothing was finished", file=sys.stderr)
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
