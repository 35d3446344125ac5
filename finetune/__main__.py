"""The entry point of `finetune` and `python -m finetune`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is being imported gives the same line and exit code as later."""
    try:
        from finetune.cli.app import main as run
    except KeyboardInterrupt:
        print("finetune: error: interrupted; nothing was finished", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
