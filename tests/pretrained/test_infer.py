"""Which network a file holds, from its names and shapes alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.formats.weights_file import WeightsFile
from finetune.networks import NETWORKS, build
from finetune.pretrained.infer import describe, description_of, fitting_networks, network_like, network_of


def file_of(of: str, options: dict[str, int | str], **fields: Any) -> WeightsFile:
    """Return a file with the weights of a network; zeros that take no memory."""
    shapes = build(of, options).weight_shapes()
    tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    return WeightsFile(Path("some.npy"), "npy", tensors, **fields)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("options", [{}, {"num_classes": 7}, {"num_classes": 7, "fc_units": 24}])
def test_network_and_options(name: str, options: dict[str, int]) -> None:
    known = {**build(name).options, **options}
    inferred = network_of(file_of(name, options), name)
    assert {**inferred.options, "input_size": 0} == {**known, "input_size": 0}
    assert inferred.weight_shapes() == build(name, options).weight_shapes()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_cut_network(name: str) -> None:
    """By its shapes alone, as in an exported .npy."""
    for layer in build(name, {"num_classes": 7}).probe_layers():
        options = {"num_classes": 7, "fc_units": 24, "cut_after": layer}
        shapes = build(name, options).weight_shapes()
        assert network_of(file_of(name, options), name).weight_shapes() == shapes


def test_size_of_the_input() -> None:
    assert network_of(file_of("alexnet", {"input_size": 163}), "alexnet").input_shape[0] in range(147, 179)


def test_tower_without_a_classifier_fits_only_itself() -> None:
    tower = network_of(file_of("alexnet-book", {}))
    assert (tower.name, tower.num_classes) == ("alexnet-book", 0)


def test_file_without_its_last_layer_keeps_the_usual_classes() -> None:
    file = file_of("alexnet", {"fc_units": 24})
    tensors = {name: tensor for name, tensor in file.tensors.items() if not name.startswith("fc8")}
    network = network_like(WeightsFile(file.path, "npy", tensors), "alexnet")
    assert (network.num_classes, network.options["fc_units"]) == (1000, 24)


def test_two_that_fit_equally() -> None:
    file = file_of("caffenet", {"fc_units": 24})
    assert [network.name for network in fitting_networks(file)] == ["alexnet", "caffenet"]
    with pytest.raises(WeightsError) as caught:
        network_of(file)
    assert str(caught.value) == (
        "some.npy fits alexnet and caffenet equally; choose with --network alexnet or --network caffenet"
    )
    assert network_of(file, "caffenet").name == "caffenet"
    stated = file_of("caffenet", {"fc_units": 24}, network="caffenet")
    assert network_of(stated).name == "caffenet"
    assert [network.name for network in fitting_networks(stated)] == ["caffenet"]
    with pytest.raises(WeightsError, match="holds the network caffenet, not alexnet; use --network caffenet"):
        network_of(stated, "alexnet")


def test_which_of_two_equal_networks_is_assumed(caplog: pytest.LogCaptureFixture) -> None:
    file = file_of("caffenet", {"fc_units": 24})
    assert network_like(file, "alexnet").name == "alexnet"
    assert caplog.messages == [
        "some.npy does not show whether it holds alexnet or caffenet, which have the same layers and shapes: alexnet "
        "is assumed; choose with --network"
    ]
    caplog.clear()
    network_like(file_of("caffenet", {"fc_units": 24}, network="caffenet"), "caffenet")
    network_like(file_of("alexnet-bn", {"fc_units": 24}), "alexnet-bn")
    assert caplog.messages == []


def changed(**changes: tuple[int, ...] | None) -> WeightsFile:
    """Return a file with a small AlexNet; `changes` replace shapes, None removes; conv1_kernel is conv1/kernel."""
    tensors = {**file_of("alexnet", {"fc_units": 24, "num_classes": 3}).tensors}
    for name, shape in changes.items():
        tensors.pop(name.replace("_", "/"), None)
        if shape is not None:
            tensors[name.replace("_", "/")] = np.broadcast_to(np.float32(0), shape)
    return WeightsFile(Path("some.npy"), "npy", tensors)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            changed(stem_kernel=(3, 3), conv5_bias=(9,), conv2_bias=None, conv3_kernel=None, conv3_bias=None),
            "it has stem/kernel (3×3), conv5/bias is 9, not 256, it lacks conv2/bias, conv3",
        ),
        (changed(conv1_kernel=(11, 11, 3, 95)), "conv1/kernel is 11×11×3×95, not 11×11×3×96"),
        (changed(fc6_kernel=(24, 9216)), "fc6/kernel is 24×9216, not 9216×24"),
        (changed(fc8_kernel=(3, 24)), "fc8/kernel is 3×24, not 24×3"),
        (changed(fc8_kernel=None, fc8_bias=None, a_kernel=(9, 3), b_kernel=(9, 3)),
         "it has a/kernel (9×3), b/kernel (9×3), it lacks fc8"),
    ],
)  # fmt: skip
def test_how_a_file_differs_from_the_nearest_network(file: WeightsFile, expected: str) -> None:
    assert fitting_networks(file) == []
    for name, which in ((None, "any network, alexnet least badly"), ("alexnet", "alexnet")):
        with pytest.raises(WeightsError) as caught:
            network_of(file, name)
        assert str(caught.value) == f"some.npy does not fit {which}: {expected}; choose another file or --network"


def test_layers_that_no_network_has_are_ignored_if_all_others_fit() -> None:
    file = changed(fc9_kernel=(24, 5), fc9_bias=(5,))
    assert network_of(file, "alexnet").num_classes == 3
    assert fitting_networks(file) == [], "these have exactly its layers"
    tower = {**file_of("alexnet-book", {}).tensors, "head/kernel": np.zeros((4, 4))}
    with pytest.raises(WeightsError, match=r"does not fit alexnet-book: it has head/kernel \(4×4\); choose"):
        network_of(WeightsFile(Path("some.npz"), "npz", tower), "alexnet-book")


def test_preprocessing_that_the_file_states() -> None:
    """torchvision's VGG16 has Caffe's shapes and another input; at another size it keeps the ratio to the image."""
    stated = build("alexnet-owt").preprocessing.to_json()
    usual = network_of(file_of("vgg16", {"fc_units": 24}, metadata={"preprocessing": stated}))
    assert usual.preprocessing.to_json() == stated
    small = network_of(file_of("vgg16", {"fc_units": 24, "input_size": 96}, metadata={"preprocessing": stated}))
    assert (small.preprocessing.size, small.preprocessing.resize_to) == (96, round(96 * 256 / 224))
    assert small.preprocessing.channel_order == "RGB"


def test_describe() -> None:
    """The catalogue knows what a file does not state; a file that finetune wrote states all of it."""
    file = WeightsFile(Path("x.onnx"), "onnx", {})
    known = describe(file, "vgg16")
    assert known.network == "vgg16"
    assert known.metadata["preprocessing"]["channel_order"] == "RGB"
    assert describe(file, "bvlc_caffenet").network == "caffenet"
    assert describe(file, "bvlc_caffenet").metadata == {}
    assert describe(file, "caffenet-12.onnx").network == "caffenet", "the name of its file"
    assert describe(file, "x.onnx") is file
    assert describe(replace(file, network="caffenet"), "bvlc_alexnet").network == "caffenet", (
        "a file under a wrong name"
    )
    own = WeightsFile(Path("x.safetensors"), "safetensors", {}, metadata={"options": {}})
    assert describe(own, "vgg16") is own


def test_a_file_that_finetune_wrote_decides_on_its_network() -> None:
    network = build("alexnet", {"fc_units": 24})
    file = file_of("alexnet", {"fc_units": 24}, network="alexnet", metadata=description_of(network))
    assert network_of(file, "alexnet") == network_of(file) == network_like(file, "alexnet") == network
    assert fitting_networks(file) == [network]
    for infer in (network_of, network_like):
        with pytest.raises(
            WeightsError, match=r"^some\.npy holds the network alexnet, not caffenet; use --network alexnet$"
        ):
            infer(file, "caffenet")


def test_a_description_gives_the_same_network_again() -> None:
    network = build("vgg16", {"num_classes": 5, "fc_units": 8, "input_size": 96})
    network = replace(network, preprocessing=replace(network.preprocessing, resize="warp", mean=(1.0, 2.0, 3.0)))
    metadata = description_of(network)
    assert metadata == {
        "network": "vgg16",
        "options": dict(network.options),
        "preprocessing": network.preprocessing.to_json(),
    }
    assert network_of(WeightsFile(Path("x"), "safetensors", {}, network="vgg16", metadata=metadata)) == network
