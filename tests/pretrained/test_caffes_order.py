"""Fine-tuned CaffeNets under any name, with a renamed last layer: what they compute, and what may be done with them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.caffe_files import ALEXNET, CAFFENET, caffe_net

from finetune.errors import WeightsError
from finetune.formats.read_weights import read_weights
from finetune.model import Model, load_model
from finetune.networks import build
from finetune.networks.numpy_forward import activations
from finetune.pretrained.infer import fitting_networks, network_like
from finetune.pretrained.load import load_weights


@pytest.fixture
def places(tiny_model: Model, tmp_path: Path) -> Path:
    """The numbers of `tiny_model` as a CaffeNet that is called PlacesCNN."""
    (tmp_path / "places.caffemodel").write_bytes(caffe_net("PlacesCNN", CAFFENET, tiny_model.weights))
    return tmp_path / "places.caffemodel"


@pytest.fixture
def flickr(tiny_model: Model, tmp_path: Path) -> Path:
    """The same, with its last layer called fc8_flickr."""
    net = caffe_net("FlickrStyleCaffeNet", CAFFENET, tiny_model.weights, last="fc8_flickr")
    (tmp_path / "flickr.caffemodel").write_bytes(net)
    return tmp_path / "flickr.caffemodel"


def test_pooling_before_normalisation_is_caffenet(places: Path, tiny_model: Model) -> None:
    model = load_model(places)
    assert model.network == dataclasses.replace(build("caffenet", tiny_model.network.options))
    for name, tensor in tiny_model.weights.items():
        np.testing.assert_array_equal(model.weights[name], tensor)
    with pytest.raises(WeightsError) as caught:
        network_like(read_weights(places), "alexnet")
    assert str(caught.value) == "places.caffemodel holds the network caffenet, not alexnet; use --network caffenet"


def test_a_renamed_last_layer_predicts_with_numbers_for_classes(flickr: Path, tiny_model: Model) -> None:
    model = load_model(flickr)
    assert (model.network.name, model.class_names) == ("caffenet", ("0", "1", "2"))
    np.testing.assert_array_equal(model.weights["fc8/kernel"], tiny_model.weights["fc8/kernel"])
    assert load_model(flickr, "caffenet").network == model.network


def test_a_renamed_layer_of_1000_classes_is_not_imagenets(tmp_path: Path, tiny_model: Model) -> None:
    wide = {"fc8/kernel": np.zeros((8, 1000), np.float32), "fc8/bias": np.zeros(1000, np.float32)}
    path = tmp_path / "net.caffemodel"
    for last, first_class in (("fc8", "tench, Tinca tinca"), ("fc8_mine", "0")):
        path.write_bytes(caffe_net("mine", ALEXNET, {**tiny_model.weights, **wide}, last=last))
        assert load_model(path).class_names[0] == first_class


def test_training_starts_from_a_renamed_last_layer(flickr: Path, tiny_model: Model) -> None:
    file = read_weights(flickr)
    weights = load_weights(network_like(file, "caffenet"), file, skip=("fc8",))
    assert sorted(weights) == sorted(name for name in tiny_model.weights if not name.startswith("fc8"))


@pytest.mark.parametrize(("order", "name"), [(ALEXNET, "alexnet"), (CAFFENET, "caffenet")])
def test_what_the_net_computes_is_what_caffe_does(
    order: tuple[str, ...], name: str, shared: Path, tmp_path: Path
) -> None:
    """fc7 against OpenCV's Caffe reader, on a photo."""
    network = build(name, {"num_classes": 10, "fc_units": 64})
    weights = load_weights(network, read_weights(shared / "oracle/alexnet_small.caffemodel"))
    first = network.first_dense()
    assert first is not None
    height, width, channels = first.input_shape
    rows = weights["fc6/kernel"].reshape(height, width, channels, -1).transpose(2, 0, 1, 3)
    net = caffe_net("anything", order, {**weights, "fc6/kernel": rows.reshape(weights["fc6/kernel"].shape)}, "fc8_mine")
    (tmp_path / "net.caffemodel").write_bytes(net)
    model = load_model(tmp_path / "net.caffemodel")
    x = model.network.preprocessing.normalize(np.load(shared / "oracle/input_bgr_uint8.npy")[None])
    found = dict(activations(model.network.layers, model.weights, x))["fc7"][0]
    with np.load(shared / f"oracle/{name}_activations.npz") as expected:
        assert np.abs(found - expected["fc7"]).max() < 1e-4 * expected["fc7"].max()


def test_the_formats_without_an_order(places: Path, tmp_path: Path) -> None:
    """The converted file fits both again."""
    from finetune.pretrained.convert import convert

    convert(places, tmp_path / "places.npy")
    assert [network.name for network in fitting_networks(read_weights(tmp_path / "places.npy"))] == [
        "alexnet",
        "caffenet",
    ]


def test_a_transposed_kernel_is_named(tmp_path: Path, tiny_model: Model) -> None:
    weights = {**tiny_model.weights, "fc7/kernel": np.zeros((16, 24), np.float32), "fc7/bias": np.zeros(16, np.float32)}
    (tmp_path / "turned.caffemodel").write_bytes(caffe_net("AlexNet", ALEXNET, weights))
    with pytest.raises(WeightsError) as caught:
        load_model(tmp_path / "turned.caffemodel")
    assert str(caught.value) == (
        "turned.caffemodel: fc7 has 16 biases for 24 outputs; its kernel is transposed; write it as outputs × inputs"
    )
