"""The log on stderr; stdout carries results only."""

import logging
import os
import sys
from pathlib import PurePath
from shutil import get_terminal_size
from textwrap import fill

from finetune.cli.safe_text import printable

RED, YELLOW, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"
INDENT = " " * 10  # of the lines of a paragraph but its first: the width of the headings of a training


class _StderrHandler(logging.Handler):
    """Print to the current stderr, so that lines appear above a progress bar; file names cannot break a line.

    A warning is marked as one.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple):
            record.args = tuple(printable(str(arg)) if isinstance(arg, PurePath) else arg for arg in record.args)
        lines = self.format(record).split("\n")
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        text = mark + "\n".join(map(printable, lines))
        print_log(text, mark, YELLOW)


def print_log(text: str, mark: str = "", color: str = "") -> None:
    """Print lines to stderr; on a terminal, long ones break between words, and the `mark` at the start has a color."""
    if sys.stderr.isatty():
        text = "\n".join(map(_wrapped, text.split("\n")))
        mark = mark.rstrip()  # a line may end after it
        if mark and not os.environ.get("NO_COLOR"):
            text = text.replace(mark, f"{color}{mark}{PLAIN}", 1)
    print(text, file=sys.stderr)


def _wrapped(line: str) -> str:
    width = get_terminal_size().columns
    return fill(line, width, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False)


def set_up_logging(verbose: bool) -> None:
    """Send the log of this package to stderr, with all details if `verbose`."""
    logger = logging.getLogger("finetune")
    logger.handlers = [_StderrHandler()]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
