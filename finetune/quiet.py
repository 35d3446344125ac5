"""Import TensorFlow without its lines about the machine."""

import logging
import os
import sys

logger = logging.getLogger(__name__)


def import_tensorflow() -> None:
    """Import TensorFlow and keep what it prints meanwhile from stderr; with debug logging on, let it print.

    Its first lines come from C++ before any setting of its own is heeded, so the descriptor itself is turned away.
    """
    if "tensorflow" in sys.modules or logger.isEnabledFor(logging.DEBUG):
        import tensorflow

        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
