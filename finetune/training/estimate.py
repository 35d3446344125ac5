"""What a training will cost in time, memory and disk, from two batches of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from finetune.data.dataset import Dataset
from finetune.formats.weights_file import layer_of
from finetune.networks.compiled import BATCH_SIZE
from finetune.networks.summary import BYTES_PER_VALUE, summarize
from finetune.training.features import FeatureBatch, Trunk
from finetune.training.head import row_type
from finetune.training.plan import Plan
from finetune.training.splits import views_of
from finetune.training.store import FeatureStore
from finetune.training.trainable import Trainable

STARTED = 500 << 20  # bytes that TensorFlow takes before it computes anything, measured


@dataclass(frozen=True)
class Cost:
    """What one stage costs.

    `forward_passes`: images through the frozen layers that are not in the cache. `steps`: of the optimizer.
    `memory` and `disk` are bytes: the peak, and what the features and the checkpoints take.
    """

    forward_passes: int
    steps: int
    memory: int
    disk: int
    seconds: float

    def describe(self) -> str:
        """Return it as one line."""
        if self.seconds < 1.5:
            time = "a second"
        else:
            time = f"{self.seconds / 60:.0f} minutes" if self.seconds > 100 else f"{self.seconds:.0f} seconds"
        return (
            f"{self.forward_passes:,} forward passes of the frozen layers and {self.steps:,} steps, "
            f"about {time}, {self.memory / 1e6:,.0f} MB of memory, {self.disk / 1e6:,.0f} MB of disk"
        )


def estimate(plan: Plan, dataset: Dataset, trunk: Trunk, store: FeatureStore, head: Trainable) -> Cost:
    """Return what the plan's one stage will cost, from a second batch through the trunk and a second step of the head.

    The features go to the store, so they are not lost; the head is left as it was.
    """
    config, (stage,) = plan.config, plan.stages
    train, val = ([r for r in dataset.records if r.split == split] for split in ("train", "val"))
    missing = trunk.missing({record: views_of(plan, record.split) for record in dataset.records}, store)
    rows = sum(len(batch.rows) for batch in missing)
    forward_passes = rows + (0 if config.views else stage.epochs * len(train))
    batches = -(-len(train) // config.batch_size)
    steps = plan.solver.policy.max_iter if plan.solver else stage.epochs * batches
    seconds = forward_passes * _trunk_seconds(trunk, store, missing)
    step_seconds = _step_seconds(plan, head)
    seconds += step_seconds * (steps + stage.epochs * len(val) / config.batch_size / 3)  # backward is 2 × forward
    memory, disk = memory_bytes(plan), disk_bytes(plan, forward_passes)
    return Cost(forward_passes, steps, memory, disk, seconds)


def _trunk_seconds(trunk: Trunk, store: FeatureStore, missing: Sequence[FeatureBatch]) -> float:
    """Return the seconds that an image takes in the precision of the first batch that is missing.

    The first batch pays for preparing and does not count.
    """
    seconds = 0.0
    for batch in [batch for batch in missing if batch.precision == missing[0].precision][:2]:
        started = time.perf_counter()
        trunk.compute_batches([batch], store)
        seconds = (time.perf_counter() - started) / len(batch.rows)
    return seconds


def _step_seconds(plan: Plan, head: Trainable) -> float:
    before, size = head.values(), plan.config.batch_size
    _, layers = plan.network.split(plan.trained)
    rows = np.zeros((size, *plan.network.shape_before(layers[0].name)), row_type(plan))
    labels, weights = np.zeros(size, np.int32), np.ones(size, np.float32)
    seconds = 0.0
    for _ in range(2):  # the first step pays for tracing
        started = time.perf_counter()
        head.step(rows, labels, weights, seed=0)
        seconds = time.perf_counter() - started
    head.restore(before)
    return seconds


def memory_bytes(plan: Plan) -> int:
    """Return the memory at the peak: TensorFlow, the weights twice, what the optimizer keeps, the largest batch."""
    trunk, layers = plan.network.split(plan.trained)
    sizes = {layer.name: layer.activation_bytes for layer in summarize(plan.network).layers}
    forward = max((sizes[layer.name] for layer in trunk), default=0) * 2 * BATCH_SIZE
    backward = sum(sizes[layer.name] for layer in layers) * 2 * plan.config.batch_size
    values = 2 * plan.network.parameters() + _changed(plan) * (1 + _slots(plan))
    return STARTED + BYTES_PER_VALUE * values + max(forward, backward)


def disk_bytes(plan: Plan, forward_passes: int) -> int:
    """Return the disk space of the features, the model, and the checkpoint, with patience of the best weights too."""
    trunk, layers = plan.network.split(plan.trained)
    row = prod(plan.network.shape_before(layers[0].name)) * (2 if trunk else 1)  # float16 features or pixels
    kept = plan.network.parameters() + _changed(plan) * (1 + bool(plan.config.patience) + _slots(plan))
    return BYTES_PER_VALUE * kept + row * forward_passes


def _changed(plan: Plan) -> int:
    """Return how many values training changes."""
    shapes = plan.network.weight_shapes()
    return sum(prod(shape) for name, shape in shapes.items() if layer_of(name) in plan.trained)


def _slots(plan: Plan) -> int:
    """Return how many values are kept for each one that training changes: momentum, or Adam's two, and the average."""
    return (1 if plan.config.optimizer == "sgd" else 2) + bool(plan.config.ema)
