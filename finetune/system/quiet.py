"""Import TensorFlow and matplotlib without their lines about the machine."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

ADDRESSES = 4 << 30  # bytes; with 3 GB train, score and explain ended in C++, without a line from Python


def import_tensorflow() -> None:
    """Import TensorFlow and keep what it prints meanwhile from stderr; with debug logging on, let it print.

    Its first lines come from C++ before any setting of its own is heeded, so the descriptor itself is turned away.
    """
    if "tensorflow" in sys.modules or logger.isEnabledFor(logging.DEBUG):
        import tensorflow

        return
    _warn_of_limit()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silence():
        import tensorflow  # noqa: F401


def import_matplotlib() -> None:
    """Import matplotlib without its lines about a home that cannot be written; with debug logging on, let it print."""
    log = logging.getLogger("matplotlib")
    level = log.level
    if not logger.isEnabledFor(logging.DEBUG):
        log.setLevel(logging.ERROR)
    try:
        import matplotlib.figure
        import matplotlib.style  # noqa: F401
    finally:
        log.setLevel(level)


def _warn_of_limit() -> None:
    if sys.platform == "win32":
        return
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < ADDRESSES:
        logger.warning(
            "%.1f GB of addresses are allowed here (ulimit -v): TensorFlow may abort below %d",
            allowed / 2**30,
            ADDRESSES >> 30,
        )


@contextmanager
def silence() -> Iterator[None]:
    """Keep what a library prints to stderr from it, even from C++; with debug logging on, let it print."""
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
