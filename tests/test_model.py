"""A model file describes itself: a model that is written is read back the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.model import Model, load_model, save_model


def test_round_trip(tiny_model: Model, tmp_path: Path) -> None:
    preprocessing = replace(tiny_model.network.preprocessing, resize="warp", resize_to=80)
    network = replace(tiny_model.network, preprocessing=preprocessing)
    about = {"weights": {"name": "starter", "sha256": "ab"}, "metrics": {"val_accuracy": 0.5}, "version": "1"}
    names = ("rot", "grün", '"blue"\n')
    save_model(tmp_path / "m.safetensors", Model(network, tiny_model.weights, names, about))
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.network == network
    assert loaded.class_names == names
    assert loaded.about == about
    assert loaded.weights.keys() == tiny_model.weights.keys()
    for name, value in tiny_model.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], value)


def test_the_starter(shared: Path) -> None:
    """The embedded weights are the trained numbers, bit for bit, with a description."""
    from safetensors.numpy import load_file

    path = Path(__file__).parents[1] / "weights" / "starter.safetensors"
    model = load_model(path)
    assert model.network.parameters() == 7_784_008
    assert model.network.preprocessing.size == model.network.preprocessing.resize_to == 163
    assert len(model.class_names) == 200
    original = load_file(shared / "starter" / "alexnet_starter.safetensors")
    assert original.keys() == model.weights.keys()
    for name, value in original.items():
        np.testing.assert_array_equal(model.weights[name], value.astype(np.float32))


def test_temperature(tiny_model: Model) -> None:
    assert tiny_model.temperature == 1
    assert replace(tiny_model, about={"temperature": 0.5}).temperature == 0.5
    for value in (0, -1.0, float("nan"), float("inf"), "warm", None):
        with pytest.raises(WeightsError, match=rf"the model's temperature is {value!r}; expected a number above 0"):
            _ = replace(tiny_model, about={"temperature": value}).temperature
