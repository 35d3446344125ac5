"""What a training will cost, from two batches of it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from math import prod

import numpy as np

from finetune.config import TrainConfig
from finetune.data.dataset import Dataset, Record
from finetune.formats.weights_file import layer_of
from finetune.networks.compiled import BATCH_SIZE
from finetune.networks.summary import BYTES_PER_VALUE, summarize
from finetune.training.features import EXACT, Trunk
from finetune.training.head import Head
from finetune.training.plan import Plan
from finetune.training.store import FeatureStore

STARTED = 500 << 20  # bytes that TensorFlow takes before it computes anything


@dataclass(frozen=True)
class Cost:
    """`forward_passes`: images through the frozen layers that the cache does not save. `steps`: of the optimizer.

    `memory` and `disk` are bytes: the peak, and what the features and the checkpoints take.
    """

    forward_passes: int
    steps: int
    memory: int
    disk: int
    seconds: float

    def describe(self) -> str:
        """Return it as one line."""
        time = f"{self.seconds / 60:.0f} minutes" if self.seconds > 100 else f"{self.seconds:.0f} seconds"
        return (
            f"{self.forward_passes:,} forward passes of the frozen layers and {self.steps:,} steps, "
            f"about {time}, {self.memory / 1e6:,.0f} MB of memory, {self.disk / 1e6:,.0f} MB of disk"
        )


def estimate(config: TrainConfig, plan: Plan, dataset: Dataset, trunk: Trunk, store: FeatureStore, head: Head) -> Cost:
    """Return what the plan's one stage will cost, from a second batch through the trunk and a second step of the head.

    The features go to the store, so they are not lost; the head is left as it was.
    """
    views = config.views or 0
    sides = {side: [record for record in dataset.records if record.split == side] for side in ("train", "val")}
    passes = [(record, view) for record in sides["train"] for view in range(max(views, 1))]
    passes += [(record, EXACT) for record in sides["val"]]
    missing = [(record, view) for record, view in passes if trunk.key(record.digest, view) not in store]
    (stage,) = plan.stages
    forward_passes = len(missing) + (0 if views else stage.epochs * len(sides["train"]))
    batches = -(-len(sides["train"]) // config.batch_size)
    exact = [trunk.key(record.digest, view)[1] == EXACT for record, view in missing]
    one_precision = (probe for probe, other in zip(missing, exact, strict=True) if other == exact[0])
    trunk_seconds = _trunk_seconds(trunk, store, one_precision)
    step_seconds = _step_seconds(config, plan, head)
    epoch = step_seconds * (batches + len(sides["val"]) / config.batch_size / 3)  # backward costs twice forward
    seconds = forward_passes * trunk_seconds + stage.epochs * epoch
    return Cost(forward_passes, stage.epochs * batches, *_sizes(config, plan, forward_passes), seconds)


def _trunk_seconds(trunk: Trunk, store: FeatureStore, missing: Iterable[tuple[Record, int]]) -> float:
    """Return the seconds an image takes; the first batch pays for preparing and does not count."""
    seconds = 0.0
    remaining = iter(missing)
    for _ in range(2):
        batch = list(islice(remaining, BATCH_SIZE))
        if batch:
            started = time.perf_counter()
            wanted: dict[Record, list[int]] = {}
            for record, view in batch:
                wanted.setdefault(record, []).append(view)
            trunk.compute(wanted, store)
            seconds = (time.perf_counter() - started) / len(batch)
    return seconds


def _step_seconds(config: TrainConfig, plan: Plan, head: Head) -> float:
    before = head.values()
    _, layers = plan.network.split(plan.trained)
    rows = np.zeros((config.batch_size, *plan.network.shape_before(layers[0].name)), head.row_type)
    labels, weights = np.zeros(config.batch_size, np.int32), np.ones(config.batch_size, np.float32)
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        head.step(rows, labels, weights, seed=0)
        seconds = time.perf_counter() - started
    head.restore(before)
    return seconds


def _sizes(config: TrainConfig, plan: Plan, forward_passes: int) -> tuple[int, int]:
    """Return the bytes of memory at the peak and of disk."""
    shapes = plan.network.weight_shapes()
    changed = sum(prod(shape) for name, shape in shapes.items() if layer_of(name) in plan.trained)
    slots = (1 if config.optimizer == "sgd" else 2) + bool(config.ema)
    trunk, layers = plan.network.split(plan.trained)
    sizes = {layer.name: layer.activation_bytes for layer in summarize(plan.network).layers}
    forward = max((sizes[layer.name] for layer in trunk), default=0) * 2 * BATCH_SIZE
    backward = sum(sizes[layer.name] for layer in layers) * 2 * config.batch_size
    weights = sum(map(prod, shapes.values()))
    memory = STARTED + BYTES_PER_VALUE * (2 * weights + changed * (1 + slots)) + max(forward, backward)
    row = prod(plan.network.shape_before(layers[0].name)) * (2 if trunk else 1)  # float16 features or pixels
    kept = BYTES_PER_VALUE * (weights + changed * (2 + slots))  # the model, then the checkpoint with the best weights
    return memory, kept + row * forward_passes
