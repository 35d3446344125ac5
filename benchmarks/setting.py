"""What every part of the comparison needs: the sides, taking turns, and the rows of the table."""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from worker import Worker

FULL, STARTER = "full", "starter"  # AlexNet with 1,000 classes and random weights; the small one with real ones
REST = 0.3  # seconds between the sides: threads of the one still spin when the other begins


class Line(NamedTuple):
    """A row of the table: ours, theirs, the ratio that counts and what it should be at least (or at most)."""

    what: str
    ours: str
    against: str
    theirs: str
    ratio: str
    wanted: str


@dataclass(frozen=True)
class Setting:
    """What every part needs: the photos, where both sides' files lie, how often to measure."""

    photos: Path
    folder: Path
    torch_python: str
    rounds: int
    epochs: int
    files: tuple[int, int]
    environment: dict[str, str] = field(default_factory=lambda: {**os.environ, "FINETUNE_OFFLINE": "1"})

    def prefix(self, network: str) -> str:
        """Return what the names of a network's files begin with."""
        return str(self.folder / network)

    @contextmanager
    def sides(self) -> Iterator[tuple[Worker, Worker]]:
        """Yield both workers."""
        with (
            Worker(sys.executable, "ours_side.py", self.environment) as ours,
            Worker(self.torch_python, "torch_side.py", self.environment) as torch,
        ):
            yield ours, torch


def take_turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return every side's median of `rounds` measurements, A B C A B C …, after one of each that does not count."""
    values: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, measure in sides.items():
            value = measure()
            if number:
                values[name].append(value)
            time.sleep(REST)
    return {name: statistics.median(measured) for name, measured in values.items()}
