"""Frozen layers stay frozen, to the bit, and a run says so; one that is thawed by hand is found."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune.config import TrainConfig
from finetune.errors import RunError
from finetune.model import Model, load_model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.training.plan import Plan
from finetune.training.train import train

pytestmark = pytest.mark.tensorflow

SMALL = {
    "alexnet": {"num_classes": 3, "input_size": 67, "fc_units": 8},
    "alexnet-bn": {"num_classes": 3, "input_size": 67, "fc_units": 8},
}


@pytest.fixture(params=SMALL)
def weights(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    network = build(request.param, SMALL[request.param])
    model = Model(network, fresh_weights(network, tuple(network.weighted_layers()), 5), ("red", "green", "blue"))
    save_model(tmp_path / "source.safetensors", model)
    return tmp_path / "source.safetensors"


def config(data: Path, weights: Path, tmp_path: Path, **options: object) -> TrainConfig:
    network = load_model(weights).network.name
    return TrainConfig(
        data=data, weights=str(weights), network=network, out=tmp_path / "run", epochs=2, learning_rate=0.01, **options
    )  # type: ignore[arg-type]


def trained_layers(weights: Path) -> tuple[str, str]:
    """The first and the last layer with a kernel behind the convolutions: something frozen lies between them."""
    names = [name for name in load_model(weights).network.weighted_layers() if name.startswith("fc")]
    return names[0], names[-1]


def test_frozen_tensors_keep_their_bits(weights: Path, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Also those behind a trained layer, where gradients pass through, and the statistics of batch norm."""
    first, last = trained_layers(weights)
    run = train(config(image_folder(stripes=6, dots=6), weights, tmp_path, skip=(last,), train=(first,)))
    before, after = load_model(weights).weights, load_model(run.model).weights
    changed = {name.split("/")[0] for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {first, last}
    figures = json.loads((run.path / "metrics.json").read_text())["frozen"]
    assert figures == {"tensors": sum(name.split("/")[0] not in (first, last) for name in before), "changed": []}


@pytest.mark.parametrize("kind", ["kernel", "moving_mean"])
def test_a_layer_thawed_by_hand_is_found(
    kind: str, weights: Path, image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training is made to change a layer that the plan calls frozen."""
    first, last = trained_layers(weights)
    shapes = load_model(weights).network.weight_shapes()
    behind = list(shapes)[list(shapes).index(f"{first}/bias") :]
    thawed = next((name.split("/")[0] for name in behind if name.endswith(kind)), None)
    if thawed is None:
        pytest.skip("the network has no batch norm")
    if kind == "kernel":
        thawed = next(name.split("/")[0] for name in behind if name.endswith(kind) and not name.startswith(first))
    trained = Plan.trained.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(Plan, "trained", property(lambda plan: (*trained(plan), thawed)))
    with pytest.raises(RunError, match=rf"frozen layers have changed in training: {thawed}/.*this is a bug, please"):
        train(config(image_folder(stripes=6, dots=6), weights, tmp_path, skip=(last,), train=(first,)))
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())["frozen"]
    assert {name.split("/")[0] for name in figures["changed"]} == {thawed}
