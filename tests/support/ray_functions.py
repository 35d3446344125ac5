"""What Ray workers compute in tests; they import it from here."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

DEADLY, BROKEN = "deadly", "broken"


def joiner(shared: tuple[str, Path]) -> Callable[[list[str]], str]:
    """Return a function that joins texts with a separator, writes down each try, and dies with DEADLY among them."""
    separator, diary = shared

    def join(items: list[str]) -> str:
        with diary.open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{','.join(items)}\n")
        if DEADLY in items:
            os.kill(os.getpid(), signal.SIGKILL)
        if BROKEN in items:
            raise MemoryError("too large")
        return separator.join(items)

    return join


def unable(shared: object) -> Callable[[list[str]], str]:
    """Die before anything can be computed."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def visible_gpu(shared: object) -> Callable[[list[str]], str]:
    """Return a function that returns the GPUs that its worker sees, after a while, so that every worker has a turn."""

    def see(items: list[str]) -> str:
        time.sleep(0.1)
        return os.environ.get("CUDA_VISIBLE_DEVICES", "all")

    return see
