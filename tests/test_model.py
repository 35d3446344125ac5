"""A model file describes itself: a model that is written is read back the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.formats.safetensors_file import write_safetensors
from finetune.model import Model, load_model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights


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


def test_class_names_and_outputs_must_agree(tiny_model: Model, tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", replace(tiny_model, class_names=("red", "green")))
    with pytest.raises(WeightsError, match=r"^m\.safetensors names 2 classes but has 3 outputs; write the file again$"):
        load_model(tmp_path / "m.safetensors")


def test_classes_without_names_are_numbered(tmp_path: Path) -> None:
    network = build("alexnet", {"num_classes": 4, "input_size": 67, "fc_units": 8})
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=0)
    np.savez(tmp_path / "m.npz", **weights)
    model = load_model(tmp_path / "m.npz", "alexnet")
    assert model.class_names == ("0", "1", "2", "3")
    assert model.network == network


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


def test_imagenets_names_for_1000_classes(tmp_path: Path) -> None:
    network = build("alexnet", {"input_size": 67, "fc_units": 8})
    np.savez(tmp_path / "m.npz", **fresh_weights(network, tuple(network.weighted_layers()), seed=0))
    names = load_model(tmp_path / "m.npz", "alexnet").class_names
    assert (len(names), names[0], names[999]) == (
        1000,
        "tench, Tinca tinca",
        "toilet tissue, toilet paper, bathroom tissue",
    )


@pytest.mark.parametrize("names", ["abc", [1, 2, 3], {"0": "a", "1": "b", "2": "c"}])
def test_class_names_must_be_a_list_of_names(names: object, tiny_model: Model, tmp_path: Path) -> None:
    network = tiny_model.network
    description = {"network": network.name, "options": dict(network.options), "class_names": names}
    description["preprocessing"] = network.preprocessing.to_json()
    write_safetensors(tmp_path / "m.safetensors", tiny_model.weights, description)
    with pytest.raises(
        WeightsError, match=r"^m\.safetensors: class_names is not a list of names; write the file again$"
    ):
        load_model(tmp_path / "m.safetensors")
