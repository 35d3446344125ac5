"""ONNX files of the zoo's form and of other exporters, made here with the onnx package."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_files import GROUPS, WEIGHTS, ZOO, model, saved

from finetune.formats.onnx_file import read_onnx
from finetune.formats.weights_file import Array

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

TORCH = ["features.0", "features.3", "features.6", "features.8", "features.10"]
TORCH += ["classifier.1", "classifier.4", "classifier.6"]


def check(path: Path, network: str | None = "alexnet", dtype: str = "<f4", channel_first: bool = True) -> None:
    """The file at `path` has WEIGHTS under AlexNet's names."""
    file = read_onnx(path)
    assert (file.format, file.network, file.channel_first) == ("onnx", network, channel_first)
    assert list(file.tensors) == [f"{name}/{weight}" for name in ZOO for weight in ("kernel", "bias")]
    for name, (kernel, bias) in zip(ZOO, WEIGHTS, strict=True):
        expected = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T
        assert file.tensors[f"{name}/kernel"].dtype == dtype
        np.testing.assert_array_equal(file.tensors[f"{name}/kernel"], expected.astype(dtype))
        np.testing.assert_array_equal(file.tensors[f"{name}/bias"], bias.astype(dtype))


def as_floats(array: Array, name: str) -> Any:
    return helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.reshape(-1).tolist())


def as_doubles(array: Array, name: str) -> Any:
    return helper.make_tensor(name, TensorProto.DOUBLE, array.shape, array.reshape(-1).tolist())


def as_halves(array: Array, name: str) -> Any:
    return numpy_helper.from_array(array.astype(np.float16), name)


@pytest.mark.parametrize(
    ("tensor", "dtype"),
    [(numpy_helper.from_array, "<f4"), (as_floats, "<f4"), (as_doubles, "<f8"), (as_halves, "<f2")],
)
def test_the_zoos_form_in_every_encoding(tmp_path: Path, tensor: Callable[[Array, str], Any], dtype: str) -> None:
    check(saved(tmp_path / "alexnet.onnx", model(tensor=tensor)), dtype=dtype)


def test_caffenet_pools_first(tmp_path: Path) -> None:
    check(saved(tmp_path / "caffenet.onnx", model(between=("MaxPool", "LRN"))), network="caffenet")


def test_torchs_export_is_named_by_position(tmp_path: Path) -> None:
    names = [(f"{name}.weight", f"{name}.bias") for name in TORCH]
    ungrouped = [kernel if kernel.ndim == 2 else np.repeat(kernel, g, axis=1) for (kernel, _), g in zip(
        WEIGHTS, (*GROUPS, 1, 1, 1), strict=True)]  # fmt: skip
    pairs = [(kernel, bias) for kernel, (_, bias) in zip(ungrouped, WEIGHTS, strict=True)]
    proto = model(pairs, names, between=("Relu", "MaxPool"), groups=(1,) * 5)
    file = read_onnx(saved(tmp_path / "owt.onnx", proto))
    assert file.network == "alexnet-owt"
    assert file.layers() == ZOO
    np.testing.assert_array_equal(file.tensors["conv2/kernel"], ungrouped[1].transpose(2, 3, 1, 0))


def test_numbered_weights(tmp_path: Path) -> None:
    names = [(str(2 * i), str(2 * i + 1)) for i in range(8)]
    check(saved(tmp_path / "numbered.onnx", model(names=names, between=("Relu",))), network=None)


def test_product_and_sum_are_a_dense_layer(tmp_path: Path) -> None:
    check(saved(tmp_path / "matmul.onnx", model(dense="MatMul")))


def test_tensorflow_flattens_height_width_channel(tmp_path: Path) -> None:
    to_channels_last = helper.make_node("Transpose", ["y4_1"], ["nhwc"], perm=[0, 2, 3, 1])
    proto = model(dense="MatMul", before_dense=[to_channels_last])
    check(saved(tmp_path / "tf.onnx", proto), channel_first=False)


def test_a_transpose_elsewhere_says_nothing_of_the_first_dense_layer(tmp_path: Path) -> None:
    after = helper.make_node("Transpose", ["output"], ["back"], perm=[0, 2, 3, 1])
    other = helper.make_node("Transpose", ["data"], ["channels_first"], perm=[0, 3, 1, 2])
    proto = model(dense="MatMul")
    proto.graph.node.append(after)
    proto.graph.node.insert(0, other)
    check(saved(tmp_path / "transposes.onnx", proto))


def test_constants_that_nodes_make(tmp_path: Path) -> None:
    """Constant, Identity and Transpose before a weight is used, as some exporters leave them."""
    proto = model()
    kernel, bias = WEIGHTS[7]
    kept = [t for t in proto.graph.initializer if not t.name.startswith("fc8")]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend([*kept, numpy_helper.from_array(np.ascontiguousarray(kernel.T), "transposed")])
    made = [
        helper.make_node("Transpose", ["transposed"], ["fc8_w_0"], perm=[1, 0]),
        helper.make_node("Constant", [], ["constant"], value=numpy_helper.from_array(bias, "")),
        helper.make_node("Identity", ["constant"], ["fc8_b_0"]),
    ]
    nodes = [*made, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    check(saved(tmp_path / "made.onnx", proto))


@pytest.mark.parametrize(("prefix", "metadata"), [("vgg0_", True), ("features.", True), ("conv", False)])
def test_vgg16_by_its_16_layers(tmp_path: Path, prefix: str, metadata: bool) -> None:
    pairs = [(np.ones((2, 3 if i == 0 else 2, 3, 3), np.float32), np.zeros(2, np.float32)) for i in range(13)]
    pairs += [(np.full((2, 2), i, np.float32), np.zeros(2, np.float32)) for i in range(3)]
    names = [(f"{prefix}{i}", f"bias{i}") for i in range(16)]
    file = read_onnx(saved(tmp_path / "vgg.onnx", model(pairs, names, ("Relu",), groups=(1,) * 13)))
    assert file.layers()[::5] == ["conv1_1", "conv3_2", "conv5_1", "fc8"]
    assert file.tensors["fc7/kernel"][0, 0] == 1
    assert ("preprocessing" in file.metadata) is metadata


def test_the_light_alexnet_of_the_onnx_package() -> None:
    folder = Path(onnx.__file__).parent / "backend/test/data/light"
    file = read_onnx(folder / "light_bvlc_alexnet.onnx")
    assert (file.network, file.layers()) == ("alexnet", ZOO)
    shapes = [file.tensors[f"{name}/kernel"].shape for name in ZOO]
    assert shapes == [(11, 11, 3, 96), (5, 5, 48, 256), (3, 3, 256, 384), (3, 3, 192, 384), (3, 3, 192, 256),
                      (9216, 4096), (4096, 4096), (4096, 1000)]  # fmt: skip
    assert {float(tensor.flat[0]) for tensor in file.tensors.values()} == {np.float32(0.02)}


def test_arrays_are_views_of_the_file(tmp_path: Path) -> None:
    pairs = [*WEIGHTS[:5], (np.ones((9, 1_000_000), np.float32), WEIGHTS[5][1]), *WEIGHTS[6:]]
    path = saved(tmp_path / "large.onnx", model(pairs))
    tracemalloc.start()
    file = read_onnx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.02 * path.stat().st_size
    assert not file.tensors["fc6/kernel"].flags.writeable


def test_without_the_onnx_package(tmp_path: Path) -> None:
    path = saved(tmp_path / "alexnet.onnx", model())
    script = f"""
import sys
sys.modules["onnx"] = None
from pathlib import Path
from finetune.errors import UsageError
from finetune.formats.onnx_file import read_onnx
try:
    read_onnx(Path({str(path)!r}))
except UsageError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "alexnet.onnx: reading ONNX needs onnx; pip install 'onnx>=1.16'\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's exporter that needs no further package
def test_what_torch_itself_exports(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from torch import nn

    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)).eval()
    torch.onnx.export(network, torch.zeros(1, 3, 8, 8), tmp_path / "torch.onnx", dynamo=False)
    file = read_onnx(tmp_path / "torch.onnx")
    assert file.layers() == ["conv1", "fc2"]
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    np.testing.assert_array_equal(file.tensors["conv1/kernel"], state["0.weight"].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(file.tensors["fc2/kernel"], state["4.weight"].T)
    np.testing.assert_array_equal(file.tensors["fc2/bias"], state["4.bias"])
