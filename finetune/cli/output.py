"""What goes to stderr: the log of this package, and the option -v that says more."""

import logging
import sys
from pathlib import PurePath
from typing import Annotated

import typer


def printable(text: str) -> str:
    """Return a line that any terminal takes: names of files may hold line ends, colours, and bytes that are no UTF-8.

    >>> print(printable("a\\nb"))
    a\\nb
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class _StderrHandler(logging.Handler):
    """Prints to whatever stderr is now, so that lines stay above a progress bar; no name of a file breaks a line."""

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple):
            record.args = tuple(printable(str(arg)) if isinstance(arg, PurePath) else arg for arg in record.args)
        lines = self.format(record).split("\n")
        print("\n".join(map(printable, lines)), file=sys.stderr)


def set_up_logging(verbose: bool) -> None:
    """Send the log to stderr, with every detail when `verbose`."""
    logger = logging.getLogger("finetune")
    logger.handlers = [_StderrHandler()]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", callback=set_up_logging, help="Say more, TensorFlow's own messages included."),
]
