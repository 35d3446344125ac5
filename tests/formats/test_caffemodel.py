"""Caffe's files: both generations of layers and blobs, made by hand, and two that Caffe's own code reads."""

from pathlib import Path

import numpy as np
import pytest
from support.caffe_files import ALEXNET, CAFFENET, caffe_layer, caffe_net
from support.weights_bytes import blob, field, large_tensors, layer, peak_of_reading, v1_layer

from finetune.errors import WeightsError
from finetune.formats.caffemodel import read_caffemodel

ORACLE = Path(__file__).parents[2].parent / "shared" / "oracle"
CONV = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)  # outputs, inputs, height, width
DENSE = np.arange(12, dtype=np.float32).reshape(4, 3)  # outputs, inputs
NEW = [
    layer("data", "Input"),
    layer("conv1", "Convolution", blob(CONV), blob(np.float32([7, 8]))),
    layer("relu1", "ReLU"),
    layer("fc2", "InnerProduct", blob(DENSE), blob(DENSE[:, 0])),
]
V1 = [
    v1_layer("conv1", 4, blob(CONV, legacy=True), blob(np.float32([7, 8]), legacy=True)),
    v1_layer("relu1", 18),
    v1_layer("fc2", 14, blob(DENSE, legacy=True), blob(DENSE[:, 0], legacy=True)),
]


@pytest.mark.parametrize("layers", [NEW, V1], ids=["LayerParameter", "V1LayerParameter"])
def test_both_generations_read_the_same(layers: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(field(1, "AlexNet") + field(3, "data") + field(4, 227) + b"".join(layers))
    file = read_caffemodel(path)
    assert (file.format, file.network, file.channel_first, file.metadata) == ("caffemodel", "alexnet", True, {})
    assert list(file.tensors) == ["conv1/kernel", "conv1/bias", "fc2/kernel", "fc2/bias"]
    assert file.tensors["conv1/kernel"].shape == (4, 5, 3, 2)
    assert file.tensors["conv1/kernel"][3, 4, 2, 1] == CONV[1, 2, 3, 4] == 119
    assert file.tensors["fc2/kernel"].shape == (3, 4)
    assert file.tensors["fc2/kernel"][2, 1] == DENSE[1, 2] == 5
    np.testing.assert_array_equal(file.tensors["conv1/bias"], np.float32([7, 8]), strict=True)
    np.testing.assert_array_equal(file.tensors["fc2/bias"], DENSE[:, 0], strict=True)


@pytest.mark.parametrize("double", [False, True], ids=["float", "double"])
@pytest.mark.parametrize("packed", [False, True], ids=["not packed", "packed"])
def test_floats_and_doubles_packed_or_not(double: bool, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    diff = field(6, np.ones(3, "<f4").tobytes())  # gradients of an interrupted training: skipped
    path.write_bytes(layer("fc2", "InnerProduct", blob(DENSE, double=double, packed=packed) + diff))
    kernel = read_caffemodel(path).tensors["fc2/kernel"]
    np.testing.assert_array_equal(kernel, DENSE.T.astype(np.float64 if double else np.float32), strict=True)


def test_a_shape_that_is_not_packed(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    shape = field(7, field(1, 4) + field(1, 3))
    path.write_bytes(layer("fc2", "InnerProduct", shape + field(5, DENSE.tobytes())))
    np.testing.assert_array_equal(read_caffemodel(path).tensors["fc2/kernel"], DENSE.T)


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("AlexNet", "alexnet"),
        ("CaffeNet", "caffenet"),
        ("VGG_ILSVRC_16_layers", "vgg16"),
        ("caffenet", "caffenet"),
        ("Places205-AlexNet", None),
        ("", None),
    ],
)
def test_the_name_of_the_net(name: str, network: str | None, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(field(1, name) + NEW[1])
    assert read_caffemodel(path).network == network


@pytest.mark.parametrize("v1", [False, True], ids=["LayerParameter", "V1LayerParameter"])
@pytest.mark.parametrize("name", ["AlexNet", "CaffeNet", "PlacesCNN", "FlickrStyleCaffeNet", ""])
def test_the_order_of_the_layers_counts_more_than_the_name(name: str, v1: bool, tmp_path: Path) -> None:
    """BVLC's prototxts: AlexNet normalises conv1 and conv2, CaffeNet pool1 and pool2."""
    path, weights = tmp_path / "net.caffemodel", {"fc8/kernel": DENSE.T, "fc8/bias": DENSE[:, 0]}
    for order, network in ((ALEXNET, "alexnet"), (CAFFENET, "caffenet")):
        path.write_bytes(caffe_net(name, order, weights, v1=v1))
        assert read_caffemodel(path).network == network


def test_the_order_is_that_of_inputs_and_outputs(tmp_path: Path) -> None:
    """Two towers: norm_a follows pool_a, though conv_b is written before it; relu_a works in place."""
    path = tmp_path / "net.caffemodel"
    layers = [
        ("conv_a", "conv", "data", "conv_a"),
        ("relu_a", "relu", "conv_a", "conv_a"),
        ("pool_a", "pool", "conv_a", "pool_a"),
        ("conv_b", "conv", "data", "conv_b"),
        ("norm_a", "norm", "pool_a", "norm_a"),
        ("pool_b", "pool", "conv_b", "pool_b"),
        ("norm_b", "norm", "pool_b", "norm_b"),
    ]
    path.write_bytes(b"".join(caffe_layer(*layer) for layer in layers) + NEW[-1])
    assert read_caffemodel(path).network == "caffenet"


GROUPED = {
    "conv1/kernel": np.ones((1, 1, 3, 4)), "conv1/bias": np.ones(4),
    "conv2/kernel": np.ones((1, 1, 2, 4)), "conv2/bias": np.ones(4),
}  # fmt: skip


@pytest.mark.parametrize(
    "order",
    ["conv1 pool1 conv2 pool2", "conv1 pool1 norm1 conv2 norm2 pool2", "conv1 norm1 pool1 conv2 pool2"],
    ids=["no normalisation", "one of each", "one"],
)
def test_groups_with_another_normalisation_are_refused(order: str, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffe_net("AlexNet", order.split(), GROUPED))
    with pytest.raises(WeightsError) as caught:
        read_caffemodel(path)
    assert str(caught.value) == (
        "net.caffemodel: has AlexNet's groups, but normalises neither after conv1 and conv2, as AlexNet does, nor "
        "after pool1 and pool2, as CaffeNet does; choose weights of one of these"
    )
    single = {**GROUPED, "conv2/kernel": np.ones((1, 1, 4, 4))}
    path.write_bytes(caffe_net("VGG_ILSVRC_16_layers", order.split(), single))
    assert read_caffemodel(path).network == "vgg16"


def test_the_name_counts_where_the_file_has_only_layers_with_weights(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffe_net("CaffeNet", ["conv1", "conv2"], GROUPED))
    assert read_caffemodel(path).network == "caffenet"


def test_kernels_are_read_only_views(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(b"".join(NEW))
    for tensor in read_caffemodel(path).tensors.values():
        assert not tensor.flags.writeable
        assert not tensor.flags.owndata


@pytest.mark.skipif(not ORACLE.exists(), reason="the oracle's files are not part of the package")
def test_the_oracles_two_files_hold_the_same_numbers() -> None:
    new = read_caffemodel(ORACLE / "alexnet_small.caffemodel")
    v1 = read_caffemodel(ORACLE / "alexnet_small_v1.caffemodel")
    assert new.network == v1.network == "alexnet"
    assert new.layers() == v1.layers() == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    for name, tensor in new.tensors.items():
        np.testing.assert_array_equal(v1.tensors[name], tensor, strict=True)
    shapes = {name: tensor.shape for name, tensor in new.tensors.items()}
    assert shapes["conv1/kernel"] == (11, 11, 3, 96)
    assert shapes["conv2/kernel"] == (5, 5, 48, 256)
    assert shapes["fc6/kernel"] == (9216, 64)
    assert shapes["fc8/bias"] == (10,)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured through Linux' /proc")
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "not packed"])
def test_reading_peaks_at_the_size_of_the_file(packed: bool, tmp_path: Path) -> None:
    tensors, path = large_tensors(), tmp_path / "large.caffemodel"
    if packed:
        blobs = [blob(tensor, legacy=True) for tensor in tensors.values()]
    else:
        records = np.zeros(tensors["fc7/kernel"].size, [("tag", "u1"), ("number", "<f4")])
        records["tag"] = 5 << 3 | 5
        blobs = [records.tobytes() + field(1, 1) + field(2, 1) + field(3, 4096) + field(4, 1024)]
    path.write_bytes(b"".join(v1_layer(f"fc{i}", 14, one) for i, one in enumerate(blobs)))
    assert 0.9 < peak_of_reading(path, "caffemodel", "read_caffemodel") < 1.3
