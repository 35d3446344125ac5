"""Every default in one place: of the library, of the command line as --help shows it, and what a plan settles."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from finetune.cli.app import app
from finetune.config import TrainConfig
from finetune.training.make_plan import plan_layers

CONFIG = {
    "data": Path("images"),
    "probe": None,
    "skip": None,
    "train": (),
    "stages": None,
    "weights": "auto",
    "network": "alexnet",
    "out": None,
    "solver": None,
    "epochs": None,
    "batch_size": 32,
    "optimizer": None,
    "learning_rate": None,
    "schedule": "cosine",
    "warmup": 0,
    "layer_lr": (),
    "weight_decay": None,
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "dropout": None,
    "class_weights": "none",
    "ema": 0.0,
    "patience": None,
    "seed": 0,
    "val_fraction": None,
    "group_by": None,
    "resize": None,
    "mean": "weights",
    "interpolation": None,
    "views": None,
    "augmentation": None,
    "crop": None,
    "flip": None,
    "lighting": None,
    "color_jitter": None,
    "check": True,
    "precision": "auto",
    "cache": True,
    "checkpoint_minutes": 10.0,
    "tensorboard": False,
    "overwrite": False,
}

MODEL = "the newest run in ./runs, otherwise bvlc_alexnet, otherwise starter"

# What predict and score assume of weights that do not describe themselves.
DESCRIPTION = {
    "--resize": "as is usual for the network",
    "--mean": "weights",
    "--interpolation": "area",
    "--class-names": "ImageNet's for 1,000 classes, otherwise numbers",
}

# The default of every option and argument as its help shows it; all others are off or not given.
HELP = {
    "demo": {"--out": "finetune-demo"},
    "train": {
        "--engine": "local",
        "--address": "start Ray on this machine",
        "--workers": "1",
        "--probe": "auto, unless an option of training by gradient is given",
        "--skip": "the last layer, if anything is trained by gradient",
        "--train": "none",
        "--stages": "a single stage",
        "--weights": "auto",
        "--network": "alexnet",
        "--out": "runs/DATE_TIME",
        "--epochs": "30, or the sum of the stages' epochs",
        "--batch-size": "32",
        "--optimizer": "sgd; adam from scratch",
        "--learning-rate": "0.001 for sgd; the network's own for adam and adamw",
        "--schedule": "cosine",
        "--warmup": "0",
        "--weight-decay": "0; 0.01 for adamw",
        "--label-smoothing": "0.0",
        "--mixup": "0.0",
        "--dropout": "the network's own, 0.5 for alexnet",
        "--class-weights": "none",
        "--ema": "0.0",
        "--patience": "train all epochs",
        "--seed": "0",
        "--val-fraction": "0.2; none for a linear probe, which is measured by cross-validation",
        "--group-by": "the column group of a CSV, otherwise no groups",
        "--resize": "as the weights were trained",
        "--mean": "weights",
        "--interpolation": "as the weights were trained",
        "--views": "1, or 8 with augmentation",
        "--augmentation": "light",
        "--crop": "as --augmentation",
        "--flip": "as --augmentation",
        "--lighting": "as --augmentation",
        "--color-jitter": "as --augmentation",
        "--check": "check",
        "--precision": "auto",
        "--cache": "cache",
        "--checkpoint-minutes": "10.0",
    },
    "predict": {"--model": MODEL, **DESCRIPTION, "--top": "5", "--abstain-below": "0.0"},
    "score": {
        "--model": MODEL,
        **DESCRIPTION,
        "--top": "5",
        "--pool": "none",
        "--dtype": "float32",
        "--abstain-below": "0.0",
        "--batch-size": "32",
        "--engine": "local",
        "--address": "start Ray on this machine",
    },
    "rdm": {"--metric": "correlation", "--figure": "FILE of --out, with .png"},
    "explain": {"--layer": "the last convolution", "--model": MODEL},
    "filters": {"--layer": "the first convolution", "--channel": "the 16 strongest", "--top": "9", "--model": MODEL},
    "check": {"--model": "no model"},
    "summary": {},
    "benchmark": {
        "network": "alexnet",
        "--batch-size": "32",
        "--batches": "100",
        "--precision": "float32",
        "--from-files": "random pixels",
    },
    "evaluate": {
        "--data": "the images of the run",
        "--split": "the validation images of --data, otherwise its test images, otherwise all",
    },
    "report": {},
    "serve": {"model": MODEL, "--port": "8000", "--host": "127.0.0.1"},
    "teach": {"folder": "images", "--port": "8000", "--host": "127.0.0.1"},
    "export": {
        "--out": "export-FORMAT in RUN, NAME-FORMAT next to FILE or, for a NAME, in the current folder",
        "--data": "the run's images",
        "--runtime": "node_modules/onnxruntime-web/dist",
    },
    "reproduce": {"--weights": "auto", "--network": "alexnet"},
    "runs list": {"folder": "runs"},
    "runs compare": {},
    "help": {},
    "weights list": {},
    "weights fetch": {},
    "weights inspect": {},
    "weights convert": {},
}

# What a plan settles of the options that are open: for fine-tuning a network of alexnet's layers, and from scratch.
FINE_TUNING: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"skip": ("fc8",)},
        {
            "skip": ("fc8",),
            "val_fraction": 0.2,
            "train": (),
            "epochs": 30,
            "optimizer": "sgd",
            "learning_rate": 0.001,
            "weight_decay": 0.0,
            "views": 1,
        },
    ),
    ({"stages": "fc8:2,fc7-fc8:3"}, {"epochs": None, "views": 1}),
    ({"optimizer": "adam"}, {"learning_rate": 0.0001, "weight_decay": 0.0}),
    ({"optimizer": "adamw"}, {"learning_rate": 0.0001, "weight_decay": 0.01}),
    ({"augmentation": "light"}, {"views": 8}),
    ({"augmentation": "none"}, {"views": 8}),
    ({"crop": "random"}, {"views": 8}),
    ({"flip": False}, {"views": 8}),
    ({"lighting": 0.1}, {"views": 8}),
    ({"color_jitter": 0.0}, {"views": 8}),
]
FROM_SCRATCH: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"epochs": 30, "optimizer": "adam", "learning_rate": 0.001, "weight_decay": 0.0, "views": 1}),
    ({"optimizer": "sgd"}, {"learning_rate": 0.001}),
]


def commands(group: Any, words: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the words and the command of every command, including those in groups."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{words}{name} ")
        else:
            yield f"{words}{name}", command


COMMANDS = dict(commands(get_command(app)))


def shown_default(option: Any, context: Any) -> str | None:
    """Return the default in an option's help, without the range that may follow it, or None."""
    found = re.search(r"\[default: (.*?)(; [^;]*x[<>][^;]*)?\]", option.get_help_record(context)[1])
    return found[1] if found else None


def test_the_library() -> None:
    assert vars(TrainConfig(data=Path("images"))) == CONFIG


def test_every_command_is_in_the_table() -> None:
    assert set(COMMANDS) == set(HELP)


@pytest.mark.parametrize("words", HELP)
def test_the_command_line(words: str) -> None:
    command = COMMANDS[words]
    context = command.make_context(words, [], resilient_parsing=True)
    shown = {option.opts[0]: shown_default(option, context) for option in command.params}
    assert {name: default for name, default in shown.items() if default is not None} == HELP[words]
    for option in command.params:
        if option.opts[0] not in HELP[words]:
            assert option.default in (None, False), option.name


def test_the_command_line_has_the_librarys_defaults() -> None:
    """An empty list of layers is not given."""
    found = {option.name: option.default for option in COMMANDS["train"].params}
    assert {name: found[name] for name in CONFIG if name != "data"} == {
        name: None if value == () else value for name, value in CONFIG.items() if name != "data"
    }


@pytest.mark.parametrize(("options", "settled"), FINE_TUNING)
def test_fine_tuning(options: dict[str, Any], settled: dict[str, Any], tiny_weights: Path) -> None:
    config = TrainConfig(data=Path("images"), weights=str(tiny_weights), **options)
    plan = plan_layers(config, num_classes=2)
    assert {name: getattr(plan.config, name) for name in settled} == settled


@pytest.mark.parametrize(("options", "settled"), FROM_SCRATCH)
def test_from_scratch(options: dict[str, Any], settled: dict[str, Any]) -> None:
    """With the smallest network, which has its own learning rate for Adam."""
    config = TrainConfig(data=Path("images"), weights="none", network="alexnet-mnist", **options)
    plan = plan_layers(config, num_classes=2)
    assert {name: getattr(plan.config, name) for name in settled} == settled


def test_the_default_level_of_augmentation(tiny_weights: Path) -> None:
    """--views alone means that they differ as with --augmentation light."""
    config = TrainConfig(data=Path("images"), weights=str(tiny_weights), views=4)
    augmentation = plan_layers(config, num_classes=2).augmentation
    assert (augmentation.crop, augmentation.flip, augmentation.color_jitter, augmentation.lighting) == (
        "random",
        True,
        0.0,
        0.0,
    )
