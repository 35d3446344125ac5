"""What every part of the comparison needs: the workers, measurements in turns, and the rows of the table."""

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

FULL, STARTER = "full", "starter"  # AlexNet with 1,000 classes and random weights; the small network with real weights
REST = 0.3  # seconds between measurements: threads of one worker still spin when the other starts


class Line(NamedTuple):
    """A row of the table: our result, theirs, the ratio, and what the ratio should be at least (or at most)."""

    what: str
    ours: str
    against: str
    theirs: str
    ratio: str
    wanted: str


@dataclass(frozen=True)
class Setting:
    """The photos, the folder for files of both workers, and how often to measure."""

    photos: Path
    folder: Path
    torch_python: str
    rounds: int
    epochs: int
    files: tuple[int, int]
    environment: dict[str, str] = field(default_factory=lambda: {**os.environ, "FINETUNE_OFFLINE": "1"})

    def prefix(self, network: str) -> str:
        """Return the beginning of the names of a network's files."""
        return str(self.folder / network)

    @contextmanager
    def workers(self) -> Iterator[tuple[Worker, Worker]]:
        """Yield both workers."""
        with (
            Worker(sys.executable, "finetune_worker.py", self.environment) as ours,
            Worker(self.torch_python, "torch_worker.py", self.environment) as torch,
        ):
            yield ours, torch


def take_turns(measurements: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the median of each of `measurements` over `rounds`, A B C A B C …, after a round that does not count."""
    values: dict[str, list[float]] = {name: [] for name in measurements}
    for number in range(rounds + 1):
        for name, measure in measurements.items():
            value = measure()
            if number:
                values[name].append(value)
            time.sleep(REST)
    return {name: statistics.median(measured) for name, measured in values.items()}
