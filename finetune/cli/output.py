"""The log on stderr; stdout carries results only."""

import logging
import sys
from pathlib import PurePath

from finetune.cli.safe_text import printable


class _StderrHandler(logging.Handler):
    """Print to the current stderr, so that lines appear above a progress bar; file names cannot break a line."""

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple):
            record.args = tuple(printable(str(arg)) if isinstance(arg, PurePath) else arg for arg in record.args)
        lines = self.format(record).split("\n")
        print("\n".join(map(printable, lines)), file=sys.stderr)


def set_up_logging(verbose: bool) -> None:
    """Send the log of this package to stderr, with all details if `verbose`."""
    logger = logging.getLogger("finetune")
    logger.handlers = [_StderrHandler()]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
