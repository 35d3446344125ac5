"""A small network's head and features for it, for the tests of training."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from finetune.model import Model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.training.head import Head
from finetune.training.loop import train_epochs
from finetune.training.plan import Plan
from finetune.training.state import Progress, State
from finetune.training.trainable import LabelledRows
from support.plans import plan_of, settled

NETWORK = build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 4})
RNG = np.random.default_rng(0)


def plan_for(trained: tuple[str, ...], **options: Any) -> Plan:
    """A plan for training these layers of NETWORK: three epochs of batches of 4 at a rate of 0.1, unless named."""
    weights = fresh_weights(NETWORK, tuple(NETWORK.weighted_layers()), seed=1)
    defaults = {"epochs": 3, "batch_size": 4, "learning_rate": 0.1}
    config = settled(trained, **{**defaults, **options})
    return plan_of(Model(NETWORK, weights, ("a", "b")), trained, config.epochs or 0, config=config)


class FixedSplits:
    """The same rows in every epoch."""

    def __init__(self, train: LabelledRows, val: LabelledRows) -> None:
        self.images = len(train.labels)
        self.rows, self.val = train, val

    def train(self, epoch: int) -> LabelledRows:
        return self.rows


def states(plan: Plan, train: LabelledRows, val: LabelledRows, progress: Progress | None = None) -> list[State]:
    """Train the plan's epochs and return every state."""
    return list(train_on(plan, range(1, (plan.config.epochs or 0) + 1), train, val, progress or Progress()))


def train_on(plan: Plan, epochs: range, train: LabelledRows, val: LabelledRows, progress: Progress) -> Iterator[State]:
    return train_epochs(Head(plan), plan, FixedSplits(train, val), epochs, progress)


def separable(count: int) -> LabelledRows:
    """Features of fc7 where the first unit determines the class."""
    labels = (np.arange(count) % 2).astype(np.int32)
    rows = RNG.uniform(0, 0.1, (count, 4)).astype(np.float32)
    rows[:, 0] += labels * 2
    return LabelledRows(rows, labels)
