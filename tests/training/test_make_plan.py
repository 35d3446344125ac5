"""The plan: which weights, and what becomes of each layer."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.config import TrainConfig
from finetune.data.augment import LEVELS, MIRRORED, Augmentation
from finetune.data.images import read_input
from finetune.data.lighting import principal_components
from finetune.data.read_data import read_data
from finetune.errors import FinetuneError, RunError, UsageError, WeightsError
from finetune.formats.npy_file import write_npy
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.networks.layers import Dropout
from finetune.training.make_plan import make_plan, plan_layers
from finetune.training.stage_spec import Stage

ALL = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


def config(weights: Path | str, **options: Any) -> TrainConfig:
    return TrainConfig(data=Path("images"), weights=str(weights), **options)


@pytest.mark.parametrize(
    ("options", "skip", "trainable"),
    [
        ({}, ("fc8",), ()),
        ({"skip": ("fc8", "fc7")}, ("fc7", "fc8"), ()),
        ({"train": ("fc7", "conv5")}, ("fc8",), ("conv5", "fc7")),
        ({"train": ("all",)}, ("fc8",), ALL[:-1]),
    ],
)
def test_what_becomes_of_each_layer(
    tiny_weights: Path, tiny_model: Model, options: dict[str, Any], skip: tuple[str, ...], trainable: tuple[str, ...]
) -> None:
    plan = plan_layers(config(tiny_weights, **options), num_classes=2)
    assert (plan.skip, plan.trainable) == (skip, trainable)
    assert plan.weights["fc8/kernel"].shape == (8, 2)
    for name, value in plan.weights.items():
        loaded = name.split("/")[0] not in skip
        same = value.shape == tiny_model.weights[name].shape and np.array_equal(value, tiny_model.weights[name])
        assert same == loaded or name.endswith("bias"), name  # fresh biases are zeros, as those of the tiny model
    assert plan.source.name == "tiny.safetensors"


def test_from_scratch_trains_everything() -> None:
    plan = plan_layers(config("none", skip=("fc8",)), num_classes=2)
    assert plan.trained == plan.skip == ALL
    assert plan.source.sha256 is None


def test_the_last_layer_may_be_kept_when_the_classes_are_as_many(tiny_weights: Path) -> None:
    plan = plan_layers(config(tiny_weights, skip=(), train=("fc8",)), num_classes=3)
    assert (plan.skip, plan.trainable) == ((), ("fc8",))


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"skip": ("fc9",)}, UsageError, r"--skip: alexnet has no layer 'fc9' with .* \(did you mean fc\d\?\)"),
        ({"train": ("pool5",)}, UsageError, "--train: alexnet has no layer 'pool5' with weights; its layers are"),
        ({"train": ("fc8",)}, UsageError, "fc8 is in --skip and in --train: skipped layers start fresh"),
        ({"skip": (), "train": ("fc7",)}, WeightsError,
         "fc8 has 3 outputs in tiny.safetensors, but there are 2 classes; "
         "add --skip fc8 to train it from scratch"),
        ({"network": "caffenet"}, WeightsError, "tiny.safetensors holds the network alexnet, not caffenet; "
         "use --network alexnet"),
        ({"network": "alexnt"}, FinetuneError, r"there is no network 'alexnt' \(did you mean alexnet\?\)"),
    ],
)  # fmt: skip
def test_what_is_refused(tiny_weights: Path, options: dict[str, Any], kind: type[FinetuneError], message: str) -> None:
    chosen = "none" if options.get("network") == "alexnt" else tiny_weights
    with pytest.raises(kind, match=message):
        plan_layers(config(chosen, **options), num_classes=2)


def test_dropout_needs_a_dropout_layer_in_the_head(tmp_path: Path) -> None:
    """In alexnet-owt it is before fc6 and before fc7, so a fresh fc8 alone has none."""
    network = build("alexnet-owt", {"num_classes": 3, "input_size": 67, "fc_units": 4})
    path = tmp_path / "owt.safetensors"
    save_model(path, Model(network, fresh_weights(network, tuple(network.weighted_layers()), 1), ("a", "b", "c")))
    message = (
        "--dropout sets the rate of the dropout layers among the trained layers, but alexnet-owt has none from fc8 on; "
        "omit it, or train more layers"
    )
    with pytest.raises(UsageError, match=re.escape(message)):
        plan_layers(config(path, network="alexnet-owt", dropout=0.2), num_classes=3)
    deeper = plan_layers(config(path, network="alexnet-owt", dropout=0.2, skip=("fc7", "fc8")), num_classes=3)
    assert [layer.rate for layer in deeper.head if isinstance(layer, Dropout)] == [0.2]
    assert [layer.rate for layer in deeper.network.layers if isinstance(layer, Dropout)] == [0.5, 0.5]


def test_nothing_to_train(tiny_weights: Path) -> None:
    with pytest.raises(UsageError, match="nothing would be trained: name a layer to train fresh"):
        plan_layers(config(tiny_weights, skip=()), num_classes=3)


def test_auto_takes_the_starter_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        plan = plan_layers(config("auto"), num_classes=2)
    assert plan.source.name == "starter"
    assert plan.network.options == {"num_classes": 2, "input_size": 163, "fc_units": 1024}
    assert caplog.messages == [
        "the weights bvlc_alexnet are not on this machine and could not be fetched; using the small starter "
        "(200 classes) instead; `finetune weights fetch bvlc_alexnet` shows the reason"
    ]


def test_the_reasons_come_with_v(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        plan_layers(config("auto"), num_classes=2)
    assert "'bvlc_alexnet' are not on this machine, and not fetched because FINETUNE_OFFLINE" in caplog.messages[1]


def test_auto_prefers_the_published_weights(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bvlc_alexnet.safetensors").write_bytes(tiny_weights.read_bytes())
    monkeypatch.setenv("FINETUNE_WEIGHTS", str(tmp_path))
    assert plan_layers(config("auto"), num_classes=2).source.name == "bvlc_alexnet"
    (warning,) = caplog.messages
    assert "bvlc_alexnet.safetensors is unverified: it states no download" in warning


def test_a_run_as_weights(tiny_model: Model, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(RunError, match=r"run has no model\.safetensors: expected a run directory"):
        plan_layers(config(run), num_classes=2)
    save_model(run / "model.safetensors", tiny_model)
    from_run, from_file = (plan_layers(config(path), num_classes=2) for path in (run, run / "model.safetensors"))
    assert from_run.source == from_file.source
    assert from_run.source.name == "model.safetensors"
    (run / "config.json").write_text("{}")
    assert plan_layers(config(run), num_classes=2).source.name == "run", "all runs call their model alike"
    with pytest.raises(UsageError, match=r"^--mean is for weights that do not describe themselves, but .*run states"):
        plan_layers(config(run, mean="none"), num_classes=2)
    assert from_run.config == from_file.config
    np.testing.assert_array_equal(from_run.weights["fc7/kernel"], tiny_model.weights["fc7/kernel"])


def test_a_name_never_falls_back() -> None:
    with pytest.raises(WeightsError, match=r"'bvlc_alexnet'.*bvlc_alexnet.*starter"):
        plan_layers(config("bvlc_alexnet"), num_classes=2)


@pytest.mark.parametrize(
    ("options", "settled"),
    [
        ({"skip": ("fc8",)}, ("sgd", 0.001)),
        ({}, (None, None)),  # a probe
        ({"weights": "none"}, ("adam", 0.0001)),
        ({"weights": "none", "network": "alexnet-mnist"}, ("adam", 0.001)),
        ({"optimizer": "adamw"}, ("adamw", 0.0001)),
        ({"weights": "none", "optimizer": "sgd", "learning_rate": 0.5}, ("sgd", 0.5)),
    ],
)
def test_what_was_left_open_is_settled(
    tiny_weights: Path, options: dict[str, Any], settled: tuple[object, object]
) -> None:
    asked = TrainConfig(data=Path("images"), **{"weights": str(tiny_weights), **options})
    config = plan_layers(asked, num_classes=2).config
    assert (config.optimizer, config.learning_rate) == settled
    again = plan_layers(TrainConfig.from_json(config.to_json()), num_classes=2).config
    assert again == config, "a settled option stays as it is"


def test_by_default_there_are_thirty_epochs_in_one_stage(tiny_weights: Path) -> None:
    plan = plan_layers(config(tiny_weights, skip=("fc8",)), num_classes=2)
    assert plan.stages == (Stage(("fc8",), 30),)
    assert plan.config.epochs == 30


@pytest.mark.parametrize(
    ("options", "augmentation"),
    [
        ({"views": 2}, LEVELS["light"]),
        ({"views": 0, "augmentation": "strong"}, LEVELS["strong"]),
        ({"views": 2, "augmentation": "alexnet", "flip": False}, replace(LEVELS["alexnet"], flip=False)),
        ({"views": 2, "lighting": 0.2}, replace(LEVELS["light"], lighting=0.2)),
        ({"skip": ("fc8",)}, LEVELS["light"]),
        ({}, MIRRORED),
    ],
)
def test_how_views_differ(tiny_weights: Path, options: dict[str, Any], augmentation: Augmentation) -> None:
    assert plan_layers(config(tiny_weights, **options), num_classes=2).augmentation == augmentation


def test_lighting_gets_the_colours_of_the_training_images(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data = image_folder(stripes=4, dots=4)
    dataset = read_data(data, 0.25)
    asked = TrainConfig(data=data, weights=str(tiny_weights), augmentation="alexnet", views=2)
    plan = make_plan(asked, dataset)
    training = [record.path for record in dataset.records if record.split == "train"]
    assert plan.augmentation.components == principal_components(training, plan.network.preprocessing)
    assert make_plan(replace(asked, augmentation=None, views=None), dataset).augmentation.components is None
    paper = make_plan(replace(asked, lighting="paper"), dataset).augmentation
    assert paper.lighting == 0.1
    assert plan.augmentation.components
    assert paper.components == plan.augmentation.components.as_in_paper()


def test_the_mean_of_the_training_images_is_settled(image_folder: Callable[..., Path]) -> None:
    """In the options as numbers, so that the run is repeated and resumed with the same ones."""
    data = image_folder(stripes=4, dots=4)
    dataset = read_data(data, 0.25)
    asked = TrainConfig(data=data, weights="none", mean="data", val_fraction=0.25)
    plan = make_plan(asked, dataset)
    squares = [
        read_input(record.path, plan.network.preprocessing) for record in dataset.records if record.split == "train"
    ]
    expected = np.mean(squares, axis=(0, 1, 2))
    assert len(squares) == 6
    np.testing.assert_allclose(plan.network.preprocessing.mean, expected, atol=0.0005)
    assert plan.config.mean == ",".join(f"{value:.3f}" for value in expected)
    again = make_plan(TrainConfig.from_json(plan.config.to_json()), dataset)
    assert again.network.preprocessing == plan.network.preprocessing


def test_weights_that_describe_themselves_keep_their_input(tiny_weights: Path) -> None:
    """Of any weights, --resize changes what the new layers see; mean and interpolation belong to the loaded ones."""
    assert plan_layers(config(tiny_weights, resize="warp"), 2).network.preprocessing.resize == "warp"
    for option in ({"mean": "none"}, {"mean": "1,2,3"}, {"interpolation": "linear"}, {"interpolation": "area"}):
        with pytest.raises(UsageError) as caught:
            plan_layers(config(tiny_weights, **option), 2)
        (name,) = option
        assert str(caught.value) == (
            f"--{name} is for weights that do not describe themselves, but tiny.safetensors states its preprocessing "
            f"and the names of its classes, as it was trained; omit --{name}"
        )


def test_the_input_of_weights_that_do_not_describe_themselves(tiny_model: Model, tmp_path: Path) -> None:
    write_npy(tmp_path / "tiny.npy", tiny_model.weights)
    plan = plan_layers(
        config(tmp_path / "tiny.npy", network="alexnet", resize="warp", mean="1,2,3", interpolation="linear"), 2
    )
    assert plan.network.preprocessing == replace(
        tiny_model.network.preprocessing, resize="warp", mean=(1, 2, 3), interpolation="linear"
    )
    assert (plan.config.resize, plan.config.mean, plan.config.interpolation) == ("warp", "1,2,3", "linear")
