"""The estimated cost: memory and disk worked out by hand, time from the batches it takes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.plans import plan_of, settled
from support.small_heads import NETWORK, plan_for

from finetune.config import TrainConfig
from finetune.data.folder import read_folder
from finetune.training.estimate import Cost, disk_bytes, estimate, memory_bytes
from finetune.training.features import Trunk
from finetune.training.head import Head
from finetune.training.make_plan import plan_layers

# NETWORK has 67 pixels, 4 units in fc6 and fc7, 2 classes. fc8 is 4 × 2 + 2 values, fc7 4 × 4 + 4.
FC8, FC7 = 10, 20
ALL = NETWORK.parameters()
MB = 1 << 20


@pytest.mark.parametrize(
    ("options", "slots"),
    [
        ({}, 1),
        ({"optimizer": "adam"}, 2),
        ({"optimizer": "adamw"}, 2),
        ({"ema": 0.9}, 2),
        ({"optimizer": "adam", "ema": 0.9}, 3),
    ],
)
def test_memory_by_hand(options: dict[str, object], slots: int) -> None:
    """500 MiB for TensorFlow, the weights twice, each trained value with its slots, two of conv1's outputs for 32."""
    plan = plan_for(("fc8",), **options)
    conv1 = 15 * 15 * 96 * 4  # bytes of its output for one image, the largest in the trunk
    expected = 500 * MB + 4 * (2 * ALL + FC8 * (1 + slots)) + 2 * 32 * conv1
    assert memory_bytes(plan) == expected


def test_memory_of_a_large_head_by_hand() -> None:
    """Without a trunk all outputs of a batch are kept for the gradients, twice."""
    plan = plan_for(tuple(NETWORK.weighted_layers()), batch_size=64)
    values = {  # of each layer's output; those of dropout count, since it makes new ones
        "conv1": 15 * 15 * 96, "norm1": 15 * 15 * 96, "pool1": 7 * 7 * 96, "conv2": 7 * 7 * 256, "norm2": 7 * 7 * 256,
        "pool2": 3 * 3 * 256, "conv3": 3 * 3 * 384, "conv4": 3 * 3 * 384, "conv5": 3 * 3 * 256, "pool5": 256,
        "fc6": 4, "drop6": 4, "fc7": 4, "drop7": 4, "fc8": 2,
    }  # fmt: skip
    expected = 500 * MB + 4 * (2 * ALL + ALL * 2) + 2 * 64 * 4 * sum(values.values())
    assert memory_bytes(plan) == expected


@pytest.mark.parametrize(("optimizer", "slots"), [("sgd", 1), ("adam", 2)])
def test_disk_by_hand(optimizer: str, slots: int) -> None:
    """The model, the trained values with the optimizer's, with patience the best ones, 4 float16 values per pass."""
    plan = plan_for(("fc8",), optimizer=optimizer)
    assert disk_bytes(plan, forward_passes=1000) == 4 * (ALL + FC8 * (1 + slots)) + 1000 * 4 * 2
    patient = plan_for(("fc7", "fc8"), optimizer=optimizer, patience=3)
    assert disk_bytes(patient, 1000) == 4 * (ALL + (FC7 + FC8) * (2 + slots)) + 1000 * 4 * 2


def test_disk_of_pixels_by_hand() -> None:
    """Without a trunk a row is the image itself, a byte for each value."""
    plan = plan_for(tuple(NETWORK.weighted_layers()))
    assert disk_bytes(plan, 10) == 4 * (ALL + ALL * 2) + 10 * 67 * 67 * 3


@pytest.mark.tensorflow
def test_counts_of_passes_and_steps(tiny_weights: Path, image_folder: Callable[..., Path]) -> None:
    """16 training images of 2 views and 4 of validation; with --views 0 the views of every epoch are passes too."""
    dataset = read_folder(image_folder(stripes=10, dots=10))
    config = TrainConfig(data=Path(), weights=str(tiny_weights), epochs=3, batch_size=5, views=2)
    for views, passes in ((2, 16 * 2 + 4), (0, 16 + 4 + 3 * 16)):
        plan = plan_layers(replace(config, views=views), 2)
        trunk = Trunk(plan)
        with trunk.open_store(cache=False) as store:
            cost = estimate(plan, dataset, trunk, store, Head(plan))
        assert (cost.forward_passes, cost.steps) == (passes, 3 * 4)
        assert (cost.memory, cost.disk) == (memory_bytes(plan), disk_bytes(plan, passes))
        assert 0 < cost.seconds < 60


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "about a second"), (100, "about 100 seconds"), (101, "about 2 minutes")]
)
def test_the_line(seconds: float, words: str) -> None:
    cost = Cost(forward_passes=1234, steps=56, memory=789_000_000, disk=1_500_000_000, seconds=seconds)
    expected = f"1,234 forward passes of the frozen layers and 56 steps, {words}, 789 MB of memory, 1,500 MB of disk"
    assert cost.describe() == expected


def test_the_plan_of_a_model_counts_its_own_layers(tiny_model: object) -> None:
    """A plan for other layers of the same network differs only by what it trains."""
    plan = plan_of(tiny_model, ("fc8",), config=settled(("fc8",)))  # type: ignore[arg-type]
    assert memory_bytes(plan) < memory_bytes(plan_of(tiny_model, ("fc6", "fc7", "fc8")))  # type: ignore[arg-type]
