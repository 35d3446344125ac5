"""Every network of the table goes the whole way: skip, train, cache, save, predict."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune.choices import Precision
from finetune.classifier import load
from finetune.config import TrainConfig
from finetune.model import Model, load_model, save_model
from finetune.networks import NETWORKS, build
from finetune.networks.initialize import fresh_weights
from finetune.networks.layers import STATISTICS
from finetune.runs.read_run import read_probe
from finetune.training.store import cache_folder
from finetune.training.train import train

pytestmark = pytest.mark.tensorflow

SMALLEST = {  # input sizes at which something is left for fc6
    "alexnet": 67, "caffenet": 67, "alexnet-owt": 63, "alexnet-book": 67, "alexnet-bn": 67, "alexnet-mnist": 28,
    "vgg16": 32,
}  # fmt: skip


def small_model(name: str) -> Model:
    """A network of the smallest size with random weights; batch norm has statistics of its own."""
    network = build(name, {"num_classes": 3, "input_size": SMALLEST[name], "fc_units": 8})
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=1)
    for number, key in enumerate(key for key in weights if key.endswith(STATISTICS)):
        weights[key] = weights[key] + np.float32(0.1 * number + 0.1)
    return Model(network, weights, ("a", "b", "c"))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_whole_way(name: str, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = image_folder(stripes=5, dots=5)
    before = small_model(name)
    save_model(tmp_path / "source.safetensors", before)
    config = TrainConfig(
        data=data, out=tmp_path / "run", network=name, weights=str(tmp_path / "source.safetensors"), epochs=2,
        skip=("fc8",), train=("fc7",), precision="float32",
    )  # fmt: skip
    run = train(config)
    assert len(list(cache_folder().rglob("*.npy"))) == 2, "a batch for each split"
    after = load_model(run.model)
    assert after.network == build(name, {**before.network.options, "num_classes": 2})
    for key, value in before.weights.items():
        moved = key not in after.weights or not np.array_equal(value, after.weights[key])
        assert moved == key.startswith(("fc7/kernel", "fc8/")) or key == "fc7/bias", key
    (prediction,) = load(str(run.path)).predict([next(data.rglob("*.png"))])
    assert {score.label for score in prediction.scores} == {"dots", "stripes"}


@pytest.mark.parametrize(("name", "precision"), [*((name, "float32") for name in NETWORKS), ("vgg16", "bfloat16")])
def test_a_probe(name: str, precision: Precision, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Every layer that a probe may read is tried, and the model is the network cut after one, loaded but for fc8."""
    data = image_folder(stripes=6, dots=6)
    before = small_model(name)
    save_model(tmp_path / "source.safetensors", before)
    source = str(tmp_path / "source.safetensors")
    run = train(TrainConfig(data=data, out=tmp_path / "run", network=name, weights=source, precision=precision))
    assert [row["layer"] for row in read_probe(run)] == before.network.probe_layers()
    after = load_model(run.model)
    whole = build(name, {**before.network.options, "num_classes": 2})
    assert after.network == whole.cut(run.metrics()["probe"])
    last = after.network.weighted_layers()[-1]
    for key, value in after.weights.items():
        assert key.startswith(f"{last}/") or np.array_equal(value, before.weights[key]), key
    (prediction,) = load(str(run.path)).predict([next(data.rglob("*.png"))])
    assert {score.label for score in prediction.scores} == {"dots", "stripes"}


def test_batch_norm_statistics_move_only_in_trained_layers(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    """bn4 is frozen behind the trained conv4 and between trained layers; bn5 is trained."""
    before = small_model("alexnet-bn")
    save_model(tmp_path / "source.safetensors", before)
    run = train(
        TrainConfig(
            data=image_folder(stripes=5, dots=5), out=tmp_path / "run", network="alexnet-bn", epochs=1,
            weights=str(tmp_path / "source.safetensors"), skip=("fc8",), train=("conv4", "conv5", "bn5"),
        )
    )  # fmt: skip
    after = load_model(run.model).weights
    moved = {key for key, value in before.weights.items() if key in after and not np.array_equal(value, after[key])}
    assert {key.split("/")[0] for key in moved} == {"conv4", "conv5", "bn5", "fc8"}
    assert {"bn5/moving_mean", "bn5/moving_variance", "bn5/gamma", "bn5/beta"} <= moved


@pytest.mark.parametrize("name", NETWORKS)
def test_from_scratch(
    name: str, image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--weights none starts every layer fresh; here at the smallest size, so that it takes no time."""
    full = NETWORKS[name]

    def small(num_classes: int = 2, input_size: int = SMALLEST[name], fc_units: int = 8) -> object:
        return full(num_classes=num_classes, input_size=input_size, fc_units=fc_units)

    monkeypatch.setitem(NETWORKS, name, small)
    config = TrainConfig(
        data=image_folder(stripes=3, dots=3), out=tmp_path / "run", network=name, weights="none", epochs=1
    )
    run = train(config)
    assert np.isfinite(run.metrics()["val_loss"])
    assert run.config()["optimizer"] == "adam"
