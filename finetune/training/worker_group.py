"""The trained layers on several workers: each computes a part of every batch, and all take the same step."""

import pickle
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from finetune.training.plan import Plan
from finetune.training.state import HeadValues
from finetune.training.trainable import Trainable, TrainingBatch, part_to_read

SECONDS_TO_END = 2.0  # in which the worker that ended is found, after another one has failed for want of it


class WorkerGroup(Protocol):
    """Several `HeadWorker`s, each in its own process."""

    hosts: list[str]

    def ask(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return what a method of the workers returns: the first one for the first arguments, and so on.

        They compute at the same time. Raises WorkerError if one has ended or failed; then none can be asked again.
        """


class HeadOnWorkers(Trainable):
    """A head whose every step is taken by a group of workers; this process sends each its part of the batch."""

    def __init__(self, plan: Plan, group: WorkerGroup) -> None:
        self.replicas = len(group.hosts)
        self.mixes = bool(plan.config.mixup)
        self._group = group
        hosts = group.hosts
        addresses = group.ask("address", [(host,) for host in hosts])
        pickled = pickle.dumps(plan)
        group.ask("start", [(pickled, addresses, place, hosts.count(host)) for place, host in enumerate(hosts)])

    def train_on(self, batch: TrainingBatch) -> tuple[float, float]:
        """Take one step on a whole batch, and return what `step` does."""
        sums, *_ = self._call("train_on", [(batch.part(place),) for place in range(self.replicas)])
        return sums

    def validate_on(self, rows: NDArray[Any], labels: NDArray[np.int32]) -> tuple[float, float]:
        """Return the sum of a batch's losses, and how many images are correct."""
        bounds = self.bounds(len(labels))
        parts = [part_to_read(bounds, place) for place in range(self.replicas)]
        sums, *_ = self._call("validate_part", [(rows[part], labels[part], bounds, part.start) for part in parts])
        return sums

    def set_rate(self, rate: float) -> None:
        """Set the learning rate."""
        self._call("set_rate", [(rate,)] * self.replicas)

    def values(self) -> HeadValues:
        """Return copies of all that training changes, which all workers have alike."""
        (values,) = self._call("values", [()])
        return values

    def restore(self, values: HeadValues) -> None:
        """Set all that training changes to what `values` returned."""
        self._call("restore", [(values,)] * self.replicas)

    def _call(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        return self._group.ask("call", [(method, *each) for each in arguments])
