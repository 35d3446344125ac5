"""A small network's head and features for it, for the tests of training."""

from pathlib import Path
from typing import Any

import numpy as np

from finetune.config import TrainConfig
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.training.head import Head, Labelled
from finetune.training.layer_options import Stage
from finetune.training.loop import State, train_head
from finetune.training.plan import Plan, Source

NETWORK = build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 4})
RNG = np.random.default_rng(0)


def plan_for(trained: tuple[str, ...], epochs: int = 3) -> Plan:
    weights = fresh_weights(NETWORK, tuple(NETWORK.weighted_layers()), seed=1)
    return Plan(NETWORK, weights, Source("none", None), trained, (), (Stage(trained, epochs),))


def config(**options: Any) -> TrainConfig:
    return TrainConfig(data=Path("pictures"), **{"epochs": 3, "batch_size": 4, "learning_rate": 0.1, **options})


def states(plan: Plan, config: TrainConfig, train: Labelled, val: Labelled, **begin: Any) -> list[State]:
    epochs = range(1, (config.epochs or 0) + 1)
    return list(train_head(Head(plan, config), config, lambda epoch: train, val, epochs, **begin))


def separable(count: int) -> Labelled:
    """Features of fc7 where the first unit tells the class."""
    labels = (np.arange(count) % 2).astype(np.int32)
    rows = RNG.uniform(0, 0.1, (count, 4)).astype(np.float32)
    rows[:, 0] += labels * 2
    return Labelled(rows, labels)
