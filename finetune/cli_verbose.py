"""What goes to stderr: the log of this package, and the option -v that says more."""

import logging
import sys
from typing import Annotated

import typer


class _StderrHandler(logging.Handler):
    """Prints to whatever stderr is now, so that lines stay above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def set_up_logging(verbose: bool) -> None:
    """Send the log to stderr, with every detail when `verbose`."""
    logger = logging.getLogger("finetune")
    logger.handlers = [_StderrHandler()]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", callback=set_up_logging, help="Say more, TensorFlow's own messages included."),
]
