"""Import TensorFlow and matplotlib without their messages about the machine."""

import gc
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from finetune.system.memory_limit import warn_of_memory_limit
from finetune.system.progress import saying

logger = logging.getLogger(__name__)

# Keras imports these, if they are installed, for wrappers and plots that nobody here uses: half of the time that
# importing TensorFlow takes (benchmarks/README.md).
FOR_WRAPPERS = ("sklearn", "pandas", "matplotlib")
_is_own_program = False


def import_for_own_program() -> None:
    """From now on, import for a program that is only ours: without FOR_WRAPPERS, and with objects that stay.

    The garbage collector then no longer looks at what an import left, not at the end of the program either, where that
    took as long as a third of the import.
    """
    global _is_own_program
    _is_own_program = True


def import_tensorflow() -> None:
    """Import TensorFlow with oneDNN on, and discard what it prints to stderr meanwhile unless debug logging is on.

    Its first lines come from C++ before it reads any of its own settings, so the file descriptor itself is redirected.
    oneDNN is off by default on processors without VNNI or AMX, where it makes a forward pass 1.3 times as fast.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if logger.isEnabledFor(logging.DEBUG):
        import tensorflow

        return
    warn_of_memory_limit()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with saying("loading TensorFlow…"), silence(), _without(FOR_WRAPPERS), _without_garbage_collection():
        import tensorflow  # noqa: F401


def import_scikit_learn() -> None:
    """Import logistic regression, without pandas where TensorFlow is imported without it: that takes a quarter."""
    with _without(["pandas"]):
        import sklearn.linear_model  # noqa: F401


@contextmanager
def _without(names: Iterable[str]) -> Iterator[None]:
    """In our own program, make packages that are not imported yet look as if they were not installed."""
    absent = [name for name in names if _is_own_program and name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: an import raises ModuleNotFoundError
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: among 300,000 objects that stay, looking takes a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _is_own_program:
            gc.freeze()
        if was_enabled:
            gc.enable()


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
