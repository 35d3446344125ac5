"""A limit on address space (ulimit -v) that TensorFlow may not survive."""

import logging
import sys

logger = logging.getLogger(__name__)

ADDRESSES = 4 << 30  # bytes; below 3 GB, train, score and explain were aborted in C++, without an error in Python


def warn_of_memory_limit() -> None:
    """Warn if the process may use less address space than ADDRESSES."""
    if sys.platform == "win32":
        return
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < ADDRESSES:
        logger.warning(
            "only %.1f GB of address space are allowed (ulimit -v); TensorFlow may abort with less than %d GB",
            allowed / 2**30,
            ADDRESSES >> 30,
        )
