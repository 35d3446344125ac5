"""What every part of the comparison needs: the workers, measurements in turns, and the rows of the table."""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from worker import Worker

from finetune.data.folder import read_folder

FULL, STARTER = "full", "starter"  # AlexNet with 1,000 classes and random weights; the small network with real weights

Measured = TypeVar("Measured")  # a number, or a NamedTuple of numbers


class Line(NamedTuple):
    """A row of the table: our result, theirs, the ratio, and what is wanted of it."""

    what: str
    ours: str
    against: str
    theirs: str
    ratio: str
    wanted: str


@dataclass(frozen=True)
class Setting:
    """The photos, the folder for files of all programs, and how much to measure; without `torch_python`, ours only."""

    photos: Path
    folder: Path
    torch_python: str | None
    rounds: int
    epochs: int
    files: tuple[int, int]  # to train on
    images: tuple[int, int]  # to compute all layers of
    batch: int = 32
    fc_units: int = 4096  # of FULL
    warm_up: bool = True  # a round that does not count
    rest: float = 0.3  # seconds between measurements: threads of one worker still spin when the other starts
    environment: dict[str, str] = field(default_factory=lambda: {**os.environ, "FINETUNE_OFFLINE": "1"})

    def prefix(self, network: str) -> str:
        """Return the beginning of the names of a network's files."""
        return str(self.folder / network)

    def paths(self) -> list[Path]:
        """Return the photos."""
        return [record.path for record in read_folder(self.photos).records]

    @contextmanager
    def workers(self) -> Iterator[tuple[Worker, Worker | None]]:
        """Yield both workers, or ours alone."""
        with ExitStack() as stack:
            ours = stack.enter_context(Worker(sys.executable, "finetune_worker.py", self.environment))
            torch = self.torch_python and Worker(self.torch_python, "torch_worker.py", self.environment)
            yield ours, stack.enter_context(torch) if torch else None

    def write_models(self) -> None:
        """Write both networks in the formats of all programs."""
        with self.workers() as (ours, torch):
            ours.ask("write_starter", self.prefix(STARTER))
            ours.ask("write_alexnet", self.prefix(FULL), self.fc_units)
            for name in (FULL, STARTER) if torch else ():
                torch.ask("write", self.prefix(name))

    def take_turns(self, measurements: Mapping[str, Callable[[], Measured]]) -> dict[str, Measured]:
        """Return the median of each measurement over the rounds, A B C A B C …, after one that does not count."""
        values: dict[str, list[Measured]] = {name: [] for name in measurements}
        for number in range(self.rounds + self.warm_up):
            for name, measure in measurements.items():
                value = measure()
                if number or not self.warm_up:
                    values[name].append(value)
                time.sleep(self.rest)
        return {name: _median(measured) for name, measured in values.items()}


def _median(values: Sequence[Measured]) -> Measured:
    """Return the median, of NamedTuples that of each field."""
    kind = type(values[0])
    if issubclass(kind, tuple):
        return kind(*map(statistics.median, zip(*values, strict=True)))
    return statistics.median(values)
