"""What the loop trains, whoever computes it: this process, or several workers that each have a part of every batch."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.training.state import HeadValues
from finetune.training.store import StoredRows

EVALUATION_BATCH_SIZE = 256


@dataclass(frozen=True)
class LabelledRows:
    """Features with their labels: what one split gives the loop.

    `rows` holds `views` rows for every label, one after the other: rows 0 to views - 1 are the first image's. `paths`
    are the images', to name them, and `weights` how much each counts in the loss; both may be missing.
    """

    rows: NDArray[Any] | StoredRows
    labels: NDArray[np.int32]
    views: int = 1
    paths: tuple[Path, ...] = ()
    weights: NDArray[np.float32] | None = None


class TrainingBatch(NamedTuple):
    """The images of a batch, or those of its part that one worker computes, for one step.

    `bounds`: replica i of all computes the images from bounds[i] to bounds[i + 1] of the whole batch, int32
    (replicas + 1,). `first`: place of the first image here in the whole batch. `before`: how many rows, labels and
    weights there are in front of that image. `seed` determines the dropout masks of the whole batch; `share` is how
    much of each image mixup keeps: the rest is of the image before it.
    """

    rows: NDArray[Any]
    labels: NDArray[np.int32]
    weights: NDArray[np.float32]
    bounds: NDArray[np.int32]
    first: int
    before: int
    seed: int
    share: float

    def part(self, replica: int) -> "TrainingBatch":
        """Return the part of a whole batch that a replica computes."""
        read = part_to_read(self.bounds, replica)
        own = slice(read.start, read.stop + self.before)
        rows, labels, weights = self.rows[own], self.labels[own], self.weights[own]
        return self._replace(rows=rows, labels=labels, weights=weights, first=read.start)


class Trainable(ABC):
    """The layers from the first trained one on, with their optimizer.

    `replicas`: how many copies of them compute a part of every batch each, to one result. `mixes`: whether images are
    mixed with the one before them.
    """

    replicas: int
    mixes: bool

    @abstractmethod
    def train_on(self, batch: TrainingBatch) -> tuple[float, float]:
        """Take one step on a whole batch, and return what `step` does."""

    @abstractmethod
    def validate_on(self, rows: NDArray[Any], labels: NDArray[np.int32]) -> tuple[float, float]:
        """Return the sum of a batch's losses, and how many images are correct; without dropout."""

    @abstractmethod
    def set_rate(self, rate: float) -> None:
        """Set the learning rate."""

    @abstractmethod
    def values(self) -> HeadValues:
        """Return copies of all that training changes."""

    @abstractmethod
    def restore(self, values: HeadValues) -> None:
        """Set all that training changes to what `values` returned."""

    def step(
        self, rows: NDArray[Any], labels: NDArray[np.int32], weights: NDArray[np.float32], seed: int, share: float = 1.0
    ) -> tuple[float, float]:
        """Take one step; return the sum of the batch's weighted losses, and how many images were correct.

        `seed` determines the dropout masks; `share` is how much of each image mixup keeps.
        """
        before = int(self.mixes)
        if before:  # the image before the first is the last
            rows, labels, weights = (np.concatenate([each[-1:], each]) for each in (rows, labels, weights))
        bounds = self.bounds(len(labels) - before)
        return self.train_on(TrainingBatch(rows, labels, weights, bounds, 0, before, seed, share))

    def evaluate(self, data: LabelledRows) -> tuple[float, float]:
        """Return mean loss and accuracy over `data`, without dropout; every image counts the same."""
        results = [
            self.validate_on(data.rows[index], data.labels[index])
            for index in slices(np.arange(len(data.labels)), EVALUATION_BATCH_SIZE)
        ]
        loss, correct = (sum(parts) / len(data.labels) for parts in zip(*results, strict=True))
        return loss, correct

    def bounds(self, count: int) -> NDArray[np.int32]:
        """Return where the part of each replica begins in a batch of `count` images, and its end."""
        return (np.arange(self.replicas + 1) * count // self.replicas).astype(np.int32)


def part_to_read(bounds: NDArray[np.int32], replica: int) -> slice:
    """Return the places of the images that a replica reads: its part, or one image where that is empty."""
    start, stop = map(int, bounds[replica : replica + 2])
    return slice(start, max(stop, start + 1))


def slices(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield `size` entries of `order` at a time; the last may be shorter."""
    return (order[start : start + size] for start in range(0, len(order), size))
