"""How a training is described: what is in use is mentioned, with its number, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.plans import plan_of, settled

from finetune.config import TrainConfig
from finetune.data.augment import augmentation_of
from finetune.data.preprocessing import with_changes
from finetune.model import Model
from finetune.training.make_plan import plan_layers
from finetune.training.method import method
from finetune.training.plan import Probe, ProbedLayer
from finetune.training.stage_spec import Stage

PLAIN = [
    "training: 30 epochs in batches of 32, dropout 0.5, seed 0; keeps the last epoch",
    "optimizer: sgd, learning rate 0.001 falling along a cosine",
    "views: each image itself",
    "precision: float32",
]
LIGHT = "augmentation: light (random crops, half of the views mirrored)"


def lines(model: Model, **options: Any) -> list[str]:
    """The method of training fc8 for 30 epochs with these options."""
    return list(method(plan_of(model, ("fc8",), 30, config=settled(**options))))


def test_what_is_off_is_not_mentioned(tiny_model: Model) -> None:
    assert lines(tiny_model) == PLAIN
    assert lines(tiny_model, class_weights="none", layer_lr=("fc8=0.5",), dropout=0.5) == PLAIN


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"batch_size": 8, "seed": 7, "dropout": 0.25},
            "training: 30 epochs in batches of 8, dropout 0.25, seed 7; keeps the last epoch",
        ),
        ({"dropout": 0.0}, "training: 30 epochs in batches of 32, seed 0; keeps the last epoch"),
        ({"patience": 5}, PLAIN[0].replace("the last epoch", "the best epoch, and stops after 5 without improvement")),
        ({"schedule": "constant"}, "optimizer: sgd, learning rate 0.001 throughout"),
        (
            {"schedule": "step", "learning_rate": 0.5},
            "optimizer: sgd, learning rate 0.5 divided by 10 after each third",
        ),
        ({"warmup": 1}, "optimizer: sgd, learning rate 0.001 falling along a cosine after 1 epoch of warmup"),
        (
            {"optimizer": "adamw", "weight_decay": 0.01, "ema": 0.99},
            "optimizer: adamw, learning rate 0.001 falling along a cosine, weight decay 0.01, moving average of the "
            "weights with decay 0.99",
        ),
        ({"label_smoothing": 0.1}, "loss: label smoothing 0.1"),
        ({"mixup": 0.2, "class_weights": "balanced"}, "loss: mixup 0.2, every class counts the same"),
    ],
)
def test_what_is_in_use(tiny_model: Model, options: dict[str, Any], line: str) -> None:
    """One line differs from a plain training, or one more is there."""
    found = lines(tiny_model, **options)
    assert [each for each in found if each not in PLAIN] == [line]
    assert [each.split(":")[0] for each in found if "loss" not in each] == [each.split(":")[0] for each in PLAIN]


@pytest.mark.parametrize(
    ("views", "options", "expected"),
    [
        (1, {}, ["views: each image itself"]),
        (8, {"augmentation": "none"}, ["views: each image itself"]),
        (8, {}, ["views: 8 of each image: the image itself and 7 augmented", LIGHT]),
        (0, {}, ["views: a new one of each image in every epoch", LIGHT]),
        (
            2,
            {"augmentation": "strong"},
            [
                "views: 2 of each image: the image itself and 1 augmented",
                "augmentation: strong (resized crops, half of the views mirrored, colour jitter 0.4, "
                "lighting noise of 0.1 standard deviations)",
            ],
        ),
        (
            2,
            {"augmentation": "alexnet", "flip": False},
            [
                "views: 2 of each image: the image itself and 1 augmented",
                "augmentation: random crops, lighting noise of 0.1 standard deviations",
            ],
        ),
    ],
)
def test_views(tiny_model: Model, views: int, options: dict[str, Any], expected: list[str]) -> None:
    """A level has its name only where all its settings are its own."""
    overrides = {name: value for name, value in options.items() if name != "augmentation"}
    plan = plan_of(
        tiny_model,
        ("fc8",),
        config=settled(views=views, **options),
        augmentation=augmentation_of(options.get("augmentation", "light"), **overrides),
    )
    assert [line for line in method(plan) if line.startswith(("views", "augmentation"))] == expected


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"resize": "crop"}, "input: the centre of the image, 67 × 67 pixels, minus 104.007, 116.669, 122.679 (BGR)"),
        (
            {"resize": "warp", "interpolation": "linear", "mean": "none"},
            "input: the whole image, squeezed to 67 × 67 pixels, interpolated linearly, no mean is subtracted",
        ),
        ({"mean": "1,2,3.5"}, "input: the centre of the image, 67 × 67 pixels, minus 1, 2, 3.5 (BGR)"),
    ],
)
def test_the_input_where_the_options_name_it(tiny_model: Model, options: dict[str, Any], line: str) -> None:
    network = replace(tiny_model.network, preprocessing=with_changes(tiny_model.network.preprocessing, **options))
    assert list(method(plan_of(tiny_model, ("fc8",), 30, config=settled(**options), network=network))) == [
        *PLAIN[:-1], line, PLAIN[-1],
    ]  # fmt: skip


def test_the_papers_lighting(tiny_model: Model) -> None:
    plan = plan_of(
        tiny_model,
        ("fc8",),
        config=settled(views=2, lighting="paper"),
        augmentation=augmentation_of("none", lighting=0.1),
    )
    assert "augmentation: lighting noise of 0.1 eigenvalues, as in the paper" in list(method(plan))


def test_nothing_is_cropped_where_the_whole_image_is_squeezed(tiny_model: Model) -> None:
    network = tiny_model.network
    squeezing = replace(network, preprocessing=replace(network.preprocessing, resize="warp"))
    found = list(method(plan_of(tiny_model, ("fc8",), config=settled(views=4), network=squeezing)))
    assert "augmentation: light (half of the views mirrored)" in found


def test_stages(tiny_model: Model) -> None:
    """Each has its epochs and its layers, and the learning rate starts again."""
    stages = (Stage(("fc8",), 1), Stage(("fc6", "fc7", "fc8"), 10))
    plan = plan_of(tiny_model, ("fc6", "fc7", "fc8"), stages=stages)
    assert list(method(plan))[:2] == [
        "training: 1 epoch of fc8, then 10 epochs of fc6-fc8 in batches of 32, dropout 0.5, seed 0; "
        "keeps the last epoch",
        "optimizer: sgd, learning rate 0.001 falling along a cosine in each stage",
    ]


def test_a_probe_is_fitted(tiny_weights: Path) -> None:
    """Before the cross-validation, its layer and strength are open."""
    plan = plan_layers(TrainConfig(data=Path("images"), weights=str(tiny_weights), probe="auto"), 3)
    expected = [
        "training: logistic regression with an L2 penalty",
        "views: each image and its mirror image",
        "precision: float32",
    ]
    assert list(method(plan)) == expected
    chosen = ProbedLayer("fc6", 0.3, 0.5, 0.1, 0.2, 1.0, True)
    expected[0] += " of strength 0.3 on fc6"
    assert list(method(replace(plan, probe=Probe((chosen,), 0, (), np.zeros((0, 3)))))) == expected


def test_the_arithmetic(tiny_model: Model) -> None:
    *_, last = method(plan_of(tiny_model, ("fc8",), precision="bfloat16"))
    assert last == (
        "precision: bfloat16 for the frozen layers' features to train on, float32 for everything else, "
        "validation included"
    )
