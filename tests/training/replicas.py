"""Heads on several replicas of this process; `test_replicas.py` runs this file in a process of its own for each number.

TensorFlow allows one number of replicas in a process, and cannot divide a processor that is in use.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.plans import plan_of, settled
from support.small_heads import plan_for, separable

from finetune.model import Model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.training import open_head as heads
from finetune.training.head import Head
from finetune.training.open_head import open_head
from finetune.training.plan import Plan
from finetune.training.solver import Solver
from finetune.training.trainable import Trainable

pytestmark = pytest.mark.tensorflow

REPLICAS = int(os.environ.get("REPLICAS", "2"))
SIZES = (6, 5, 3, 1)  # of batches: with parts of different sizes, and empty ones
WEIGHTED = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


@pytest.fixture(scope="module", autouse=True)
def _several_devices() -> Iterator[None]:
    (processor,) = tf.config.list_physical_devices("CPU")
    device = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(processor, [device] * REPLICAS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "_gpus", lambda: [f"CPU:{place}" for place in range(REPLICAS)])
        yield


def normalised_plan() -> Plan:
    """All layers of a small AlexNet with batch norm."""
    network = build("alexnet-bn", {"num_classes": 2, "input_size": 67, "fc_units": 4})
    layers = tuple(network.weighted_layers())
    model = Model(network, fresh_weights(network, layers, seed=1), ("a", "b"))
    config = settled(layers, batch_size=6, learning_rate=0.01, epochs=1)
    return plan_of(model, layers, 1, config=config)


def solver_plan() -> Plan:
    plan = plan_for(("fc8",), batch_size=6)
    names = ("fc8/kernel", "fc8/bias")
    solver = Solver(None, 0.9, dict.fromkeys(names, 1.0), dict.fromkeys(names, 0.5), 1, "")  # type: ignore[arg-type]
    return replace(plan, solver=solver)


PLANS: dict[str, Callable[[], Plan]] = {
    "one layer": lambda: plan_for(("fc8",), batch_size=6),
    "all layers": lambda: plan_for(WEIGHTED, batch_size=6),
    "mixup": lambda: plan_for(WEIGHTED, batch_size=6, mixup=0.3, label_smoothing=0.1),
    "adamw": lambda: plan_for(("fc7", "fc8"), batch_size=6, optimizer="adamw", weight_decay=0.1, ema=0.9),
    "batch norm": normalised_plan,
    "a solver": solver_plan,
}


def batches(plan: Plan) -> Iterator[tuple[Any, ...]]:
    """Yield the arguments of two steps for every size of a batch."""
    generator = np.random.default_rng(0)
    trunk, layers = plan.network.split(plan.trained)
    shape = plan.network.shape_before(layers[0].name)
    for number, count in enumerate(SIZES * 2):
        rows = generator.uniform(0, 1, (count, *shape)).astype(np.float32)
        rows = rows if trunk else (255 * rows).astype(np.uint8)
        labels = generator.integers(0, 2, count).astype(np.int32)
        yield (
            rows,
            labels,
            generator.uniform(0.5, 1.5, count).astype(np.float32),
            number,
            0.7 if plan.config.mixup else 1,
        )


@pytest.mark.parametrize("name", PLANS)
def test_every_step_is_that_of_one(name: str) -> None:
    """From the same values, since a training carries a last bit further: losses, weights, averages, momentum."""
    plan = PLANS[name]()
    one = Head(plan)
    one.set_rate(0.01)
    with open_head(replace(plan, workers=REPLICAS)) as several:
        assert several.replicas == REPLICAS
        several.set_rate(0.01)
        for arguments in batches(plan):
            several.restore(one.values())
            expected, found = one.step(*arguments), several.step(*arguments)
            assert found == pytest.approx(expected, rel=1e-5)
            assert found[1] == expected[1], "as many correct"
            check_equal(one, several)


def check_equal(one: Trainable, several: Trainable) -> None:
    expected, found = one.values(), several.values()
    for before, after in ((expected.weights, found.weights), (expected.average, found.average)):
        for name, value in before.items():
            np.testing.assert_allclose(after[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    for value, other in zip(expected.optimizer, found.optimizer, strict=True):
        np.testing.assert_allclose(other, value, rtol=1e-3, atol=1e-5)


def test_all_copies_stay_alike() -> None:
    plan = plan_for(WEIGHTED, batch_size=6, mixup=0.3)
    with open_head(replace(plan, workers=REPLICAS)) as several:
        assert isinstance(several, Head)
        several.set_rate(0.01)
        for arguments in batches(plan):
            several.step(*arguments)
        for variable in several._variables.values():
            copies = several._strategy.experimental_local_results(variable)
            assert len(copies) == REPLICAS
            for copy in copies:
                np.testing.assert_array_equal(copy.numpy(), copies[0].numpy())


@pytest.mark.parametrize("count", [9, 2, 1])
def test_validation_counts_every_image_once(count: int) -> None:
    plan, data = plan_for(("fc8",), batch_size=6), separable(count)
    with open_head(replace(plan, workers=REPLICAS)) as several:
        assert several.evaluate(data) == pytest.approx(Head(plan).evaluate(data), rel=1e-6)


def test_more_workers_than_gpus() -> None:
    plan = replace(plan_for(("fc8",)), workers=REPLICAS + 1)
    message = f"--workers {REPLICAS + 1}: expected at most {REPLICAS}, the GPUs of this machine"
    with pytest.raises(heads.UsageError, match=message), open_head(plan):
        pass
