"""Progress with rate and time left, on stderr: a bar on a terminal, otherwise a line every few seconds."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 5.0


def track(items: Iterable[Item], total: int | None, what: str, unit: str) -> Iterator[Item]:
    """Yield the items and show the progress, under the heading `what`; `unit` is what is counted, in the plural.

    If `total` is None, only the count and the rate are shown. Nothing is shown unless the logger of this package lets
    INFO through, as the command line sets it, so scripts stay silent.
    """
    if not logger.isEnabledFor(logging.INFO):
        yield from items
    elif sys.stderr.isatty():
        yield from _bar(items, total, what, unit)
    else:
        yield from _lines(items, total, what, unit)


@contextmanager
def saying(what: str) -> Iterator[None]:
    """Show on a terminal what happens while the block runs, where `track` would show a bar."""
    shown = logger.isEnabledFor(logging.INFO) and sys.stderr.isatty()
    if shown:
        print(what, end="\r", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print(" " * len(what), end="\r", file=sys.stderr, flush=True)


def _bar(items: Iterable[Item], total: int | None, what: str, unit: str) -> Iterator[Item]:
    # Here, since most commands show no bar, and these imports take a tenth of the time of predicting one image.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = time.perf_counter()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, rate="")
        for done, item in enumerate(items, start=1):
            yield item
            progress.update(task, completed=done, rate=f"{done / (time.perf_counter() - started):.0f} {unit}/s")


def _lines(items: Iterable[Item], total: int | None, what: str, unit: str) -> Iterator[Item]:
    started = last = time.perf_counter()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.perf_counter()
        if now - last >= SECONDS_BETWEEN_LINES:
            rate = done / (now - started)
            share = f"{done} {unit}" if total is None else f"{done} of {total} {unit}"
            left = "" if total is None else f", {(total - done) / rate:.0f} s left"
            logger.info("%s: %s, %.1f %s/s%s", what, share, rate, unit, left)
            last = now
