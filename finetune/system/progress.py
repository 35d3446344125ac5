"""Progress with rate and time left, on stderr: a bar on a terminal, otherwise a line every few seconds.

Or, for a program that shows it in its own way, numbers (`reporting`).
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Show = Callable[[int], None]  # from how many are done

Report = Callable[[str, int, int | None], None]  # from the heading, how many are done, and of how many

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_REPORTS = 0.2

_is_counting = False
_report: Report | None = None


def track(items: Iterable[Item], total: int | None, what: str, unit: str, done: int = 0) -> Iterator[Item]:
    """Yield the items and show the progress, under the heading `what`; `unit` is what is counted, in the plural.

    `done`: how many of the total were done before; the items are the others.
    """
    with counting(total, what, unit, done) as show:
        for count, item in enumerate(items, start=done + 1):
            yield item
            show(count)


@contextmanager
def counting(total: int | None, what: str, unit: str, done: int = 0) -> Iterator[Show]:
    """Yield a function that shows how many of `total` are done; `done` were done before.

    If `total` is None, only the count and the rate are shown. Nothing is shown within another count, and unless the
    logger of this package lets INFO through, as the command line sets it, so scripts stay silent.
    """
    global _is_counting
    if _is_counting or not logger.isEnabledFor(logging.INFO):
        yield lambda _: None
        return
    _is_counting = True
    try:
        if _report:
            yield _numbers(_report, total, what)
        elif sys.stderr.isatty():
            with _bar(total, what, unit, done) as show:
                yield show
        else:
            yield _lines(total, what, unit, done)
    finally:
        _is_counting = False


@contextmanager
def reporting(report: Report) -> Iterator[None]:
    """Within the block, call `report`, a few times a second and at the end of each count, in place of showing it."""
    global _report
    _report = report
    try:
        yield
    finally:
        _report = None


@contextmanager
def saying(what: str) -> Iterator[None]:
    """Show on a terminal what happens while the block runs, where `track` would show a bar and there is none."""
    if _report:
        _report(what, 0, None)
        yield
        return
    shown = logger.isEnabledFor(logging.INFO) and sys.stderr.isatty() and not _is_counting
    if shown:
        print(what, end="\r", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print(" " * len(what), end="\r", file=sys.stderr, flush=True)


@contextmanager
def _bar(total: int | None, what: str, unit: str, before: int) -> Iterator[Show]:
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
        task = progress.add_task(what, total=total, completed=before, rate="")

        def show(done: int) -> None:
            rate = (done - before) / (time.perf_counter() - started)
            progress.update(task, completed=done, rate=f"{rate:.0f} {unit}/s")

        yield show


def _numbers(report: Report, total: int | None, what: str) -> Show:
    last = float("-inf")

    def show(done: int) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last >= SECONDS_BETWEEN_REPORTS or done == total:
            report(what, done, total)
            last = now

    return show


def _lines(total: int | None, what: str, unit: str, before: int) -> Show:
    started = last = time.perf_counter()

    def show(done: int) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last < SECONDS_BETWEEN_LINES or done <= before:
            return
        rate = (done - before) / (now - started)
        share = f"{done:,} {unit}" if total is None else f"{done:,} of {total:,} {unit}"
        left = "" if total is None else f", {(total - done) / rate:.0f} s left"
        logger.info("%s: %s, %.1f %s/s%s", what, share, rate, unit, left)
        last = now

    return show
