"""Import TensorFlow and matplotlib without their messages about the machine."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from finetune.system.memory_limit import warn_of_memory_limit

logger = logging.getLogger(__name__)


def import_tensorflow() -> None:
    """Import TensorFlow, and discard what it prints to stderr meanwhile unless debug logging is on.

    Its first lines come from C++ before it reads any of its own settings, so the file descriptor itself is redirected.
    """
    if "tensorflow" in sys.modules or logger.isEnabledFor(logging.DEBUG):
        import tensorflow

        return
    warn_of_memory_limit()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silence():
        import tensorflow  # noqa: F401


def import_matplotlib() -> None:
    """Import matplotlib without its warnings about a home folder that cannot be written, unless debug logging is on."""
    log = logging.getLogger("matplotlib")
    level = log.level
    if not logger.isEnabledFor(logging.DEBUG):
        log.setLevel(logging.ERROR)
    try:
        import matplotlib.figure
        import matplotlib.style  # noqa: F401
    finally:
        log.setLevel(level)


@contextmanager
def silence() -> Iterator[None]:
    """Discard what libraries print to stderr, even from C++, unless debug logging is on."""
    if logger.isEnabledFor(logging.DEBUG):
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
