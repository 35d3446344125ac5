"""TrainConfig: which options are refused, and JSON and back."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from finetune.config import TrainConfig, checked_option
from finetune.errors import UsageError
from finetune.option_rules import AUGMENTATION, BY_GRADIENT


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "--epochs must be 1 or more, not 0"),
        ({"batch_size": -3}, "--batch-size must be 1 or more, not -3"),
        ({"warmup": -1}, "--warmup must be 0 or more, not -1"),
        ({"learning_rate": 0.0}, "--learning-rate must be a number above 0, not 0.0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be a number above 0, not nan"),
        ({"learning_rate": float("inf")}, "--learning-rate must be a number above 0, not inf"),
        ({"checkpoint_minutes": 0.0}, "--checkpoint-minutes must be a number above 0, not 0.0"),
        ({"weight_decay": -0.1}, "--weight-decay must be 0 or more, not -0.1"),
        ({"mixup": float("inf")}, "--mixup must be 0 or more, not inf"),
        ({"label_smoothing": 1.0}, "--label-smoothing must be 0 or more and below 1, not 1.0"),
        ({"dropout": 1.0}, "--dropout must be 0 or more and below 1, not 1.0"),
        ({"dropout": -0.1}, "--dropout must be 0 or more and below 1, not -0.1"),
        ({"ema": -0.1}, "--ema must be 0 or more and below 1, not -0.1"),
        ({"val_fraction": 1.0}, "--val-fraction must be above 0 and below 1, not 1.0"),
        ({"val_fraction": 0.0}, "--val-fraction must be above 0 and below 1, not 0.0"),
        *(
            (
                {"group_by": pattern},
                "--group-by must be parent or a valid regular expression with a group, such as 'patient(\\d+)', "
                f"not {pattern}",
            )
            for pattern in ("", "folder", "(a", "(?:a)", "a(?=b)", "(a){99999999999}")
        ),
        ({"lighting": 1.1}, "--lighting must be from 0 to 1, or paper, not 1.1"),
        *(
            (
                {"mean": mean},
                "--mean must be weights, none, data, or numbers from 0 to 255 for blue, green and red, such as "
                f"104,117,123, not {mean}",
            )
            for mean in ("", "imagenet", "104,117", "104,117,256", "-1,0,0", "nan,0,0", "104;117;123")
        ),
        ({"color_jitter": -0.1}, "--color-jitter must be from 0 to 1, not -0.1"),
        ({"seed": -1}, "--seed must be a whole number from 0 to 2147483647, not -1"),
        ({"seed": 2**31}, "--seed must be a whole number from 0 to 2147483647, not 2147483648"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        TrainConfig(data=Path("images"), **options)
    assert str(error.value) == message


def test_json_and_back() -> None:
    config = TrainConfig(data=Path("images"), out=Path("run"), skip=("fc7", "fc8"), learning_rate=0.01)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_unknown_option_in_json() -> None:
    with pytest.raises(
        UsageError, match=r"unknown option 'epoch' \(did you mean epochs\?\); see finetune train --help"
    ):
        TrainConfig.from_json({"data": "images", "epoch": 3})


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 1, "warmup": 0, "views": 0, "mixup": 0.0, "weight_decay": 0.0, "label_smoothing": 0.0, "ema": 0.0},
        {"dropout": 0.0, "patience": 1},
        {"dropout": 0.999},
        {"group_by": "parent"},
        {"group_by": r"patient(\d+)"},
        {"lighting": 0.0, "color_jitter": 0.0, "seed": 0},
        {"lighting": "paper", "mean": "none", "interpolation": "linear"},
        {"mean": "0,255,103.939"},
        {"mean": "33.3", "network": "alexnet-mnist"},
        {"lighting": 1.0, "color_jitter": 1.0, "seed": 2**31 - 1, "label_smoothing": 0.999, "ema": 0.999},
    ],
)
def test_the_ends_of_the_ranges_are_accepted(options: dict[str, Any]) -> None:
    TrainConfig(data=Path("images"), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 3}, "--stages and --epochs cannot both be given: each stage has its own epochs"),
        ({"train": ("fc7",)}, "--stages and --train cannot both be given: each stage names the layers that it trains"),
        ({"patience": 3}, "--stages and --patience cannot both be given: every stage is trained to its end"),
    ],
)
def test_options_that_cannot_be_combined_with_stages(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        TrainConfig(data=Path("images"), stages="fc8:1", **options)
    assert str(error.value) == message


GRADIENT_VALUES: dict[str, Any] = {  # that differ from the defaults
    "skip": ("fc8",), "train": ("fc7",), "stages": "fc8:1", "solver": Path("solver.prototxt"), "epochs": 3,
    "batch_size": 8, "optimizer": "adam", "learning_rate": 0.01, "schedule": "step", "warmup": 1,
    "layer_lr": ("0.5",), "weight_decay": 0.0,
    "label_smoothing": 0.1, "mixup": 0.2, "dropout": 0.0, "class_weights": "balanced", "ema": 0.9, "patience": 2,
    "seed": 1, "views": 0, "augmentation": "light", "crop": "random", "flip": False,
    "lighting": 0.0, "color_jitter": 0.0, "tensorboard": True, "checkpoint_minutes": 1.0,
}  # fmt: skip


def test_what_a_probe_refuses_are_options_of_training() -> None:
    """Every name is a field; those that mean something for a probe too are not among them."""
    assert len(set(BY_GRADIENT)) == len(BY_GRADIENT)
    names = {option.name for option in fields(TrainConfig)}
    assert names - set(BY_GRADIENT) == {
        "data", "probe", "weights", "network", "out", "val_fraction", "group_by", "resize", "mean", "interpolation",
        "check", "precision", "cache", "overwrite",
    }  # fmt: skip
    assert set(BY_GRADIENT) == set(GRADIENT_VALUES)


@pytest.mark.parametrize(("name", "value"), GRADIENT_VALUES.items())
def test_a_probe_refuses_options_of_the_gradient(name: str, value: Any) -> None:
    with pytest.raises(UsageError) as error:
        TrainConfig(data=Path("images"), probe="auto", **{name: value})
    option = f"--{name.replace('_', '-')}"
    assert str(error.value) == f"--probe and {option} cannot both be given: a probe needs no gradient; omit one"
    assert not TrainConfig(data=Path("images"), **{name: value}).is_probe


def test_a_probe_is_the_default_where_there_are_weights() -> None:
    assert TrainConfig(data=Path("images")).is_probe
    assert TrainConfig(data=Path("images"), weights="starter", val_fraction=0.3, group_by="parent").is_probe
    assert TrainConfig(data=Path("images"), epochs=None, batch_size=32, seed=0, skip=None).is_probe, "all defaults"
    assert not TrainConfig(data=Path("images"), weights="none").is_probe
    assert not TrainConfig(data=Path("images"), skip=()).is_probe
    assert TrainConfig(data=Path("images"), flip=True, epochs=3, train=("fc7",)).by_gradient == [
        "train",
        "epochs",
        "flip",
    ]


def test_a_probe_needs_loaded_layers() -> None:
    with pytest.raises(UsageError) as error:
        TrainConfig(data=Path("images"), probe="pool5", weights="none")
    assert str(error.value) == "--probe reads the output of loaded layers, but --weights none loads nothing; omit one"


def test_the_mean_of_the_images_is_for_training_from_scratch() -> None:
    assert TrainConfig(data=Path("images"), mean="data", weights="none").mean == "data"
    for weights in ("auto", "starter", "model.ckpt"):
        with pytest.raises(UsageError) as error:
            TrainConfig(data=Path("images"), mean="data", weights=weights)
        assert str(error.value) == (
            "--mean data is the mean of your images, but loaded layers expect the mean that they were trained with; "
            "omit it, or train from scratch with --weights none"
        )


def test_a_solver_says_the_mean() -> None:
    with pytest.raises(UsageError) as error:
        TrainConfig(data=Path("images"), solver=Path("solver.prototxt"), mean="none")
    assert str(error.value) == (
        "--solver and --mean cannot both be given: its net says what is subtracted; omit --mean"
    )


def test_a_probe_accepts_what_is_not_of_the_gradient() -> None:
    """And the defaults of what is, which a file of options may name."""
    defaults = {option.name: option.default for option in fields(TrainConfig) if option.name in BY_GRADIENT}
    probe = TrainConfig(
        data=Path("images"), probe="fc6", weights="starter", network="vgg16", out=Path("run"), group_by="parent",
        resize="warp", mean="none", interpolation="linear",
        check=False, precision="bfloat16", cache=False, overwrite=True, val_fraction=0.3, **defaults,
    )  # fmt: skip
    assert probe.is_probe
    assert TrainConfig.from_json(json.loads(json.dumps(probe.to_json()))) == probe


@pytest.mark.parametrize("name", AUGMENTATION)
def test_augmentation_needs_a_second_view(name: str) -> None:
    values = {"augmentation": "light", "crop": "random", "flip": False, "lighting": 0.0, "color_jitter": 0.0}
    with pytest.raises(UsageError, match=r"^augmentation needs more than one view: give --views 0, or 2 or more"):
        TrainConfig(data=Path("images"), views=1, **{name: values[name]})
    TrainConfig(data=Path("images"), views=2, **{name: values[name]})
    TrainConfig(data=Path("images"), views=0, **{name: values[name]})


@pytest.mark.parametrize(
    ("name", "value", "typed"),
    [
        ("data", "a/b", Path("a/b")),
        ("skip", "fc7, fc8,", ("fc7", "fc8")),
        ("skip", ["fc7", "fc6,fc8"], ("fc7", "fc6", "fc8")),
        ("skip", None, None),
        ("skip", "FC7,fc8", ("fc7", "fc8")),
        ("probe", "Pool5", "pool5"),
        ("stages", "FC8:1,ALL:2", "fc8:1,all:2"),
        ("out", "Run", Path("Run")),
        ("layer_lr", [0.5], ("0.5",)),
        ("learning_rate", 1, 1.0),
        ("lighting", 1, 1.0),
        ("lighting", "0.1", 0.1),
        ("lighting", "paper", "paper"),
        ("lighting", None, None),
        ("epochs", 3, 3),
        ("cache", False, False),
        ("resize", "warp", "warp"),
    ],
)
def test_values_from_a_file_get_the_type_of_their_field(name: str, value: Any, typed: Any) -> None:
    found = checked_option(name, value)
    assert (found, type(found)) == (typed, type(typed))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("learning_rate", 10**400, f"--learning-rate is {10**400}; expected float"),
        ("learning_rate", True, "--learning-rate is True; expected float"),
        ("learning_rate", "0.1", "--learning-rate is '0.1'; expected float"),
        ("lighting", "much", "--lighting is 'much'; expected paper or float"),
        ("lighting", "nan", "--lighting must be from 0 to 1, or paper, not nan"),
        ("mean", [104, 117, 123], "--mean is [104, 117, 123]; expected str"),
        ("batch_size", None, "--batch-size is None; expected int"),
        ("data", 3, "--data is 3; expected Path"),
        ("resize", "stretch", "--resize is 'stretch'; expected crop or warp"),
        ("skip", [["fc8"]], "--skip is [['fc8']]; expected str"),
    ],
)
def test_values_of_another_type_are_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        checked_option(name, value)
    assert str(error.value) == message
