"""Caffe's files: both generations of layers and blobs, made by hand, and two that Caffe's own code reads."""

from pathlib import Path

import numpy as np
import pytest
from support.weights_bytes import blob, field, large_tensors, layer, peak_of_reading, v1_layer

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
