"""ONNX files of the zoo's form and of other exporters, made here with the onnx package, and what is refused."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.pretrained.onnx import read_onnx
from finetune.pretrained.weights_file import Array

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(0)
GROUPS = (1, 2, 1, 2, 2)
FILTERS = (64, 6, 8, 4, 4)


def weights() -> list[tuple[Array, Array]]:
    """Five convolutions (outputs, inputs / groups, height, width) and three dense (outputs, inputs), with biases."""
    shapes: list[tuple[int, ...]] = []
    for filters, channels, groups in zip(FILTERS, (3, *FILTERS), GROUPS, strict=False):
        shapes.append((filters, channels // groups, 3, 2))
    shapes += [(9, 4), (8, 9), (5, 8)]
    return [(RNG.standard_normal(s, np.float32), RNG.standard_normal(s[0], np.float32)) for s in shapes]


WEIGHTS = weights()
ZOO = [*(f"conv{i}" for i in range(1, 6)), "fc6", "fc7", "fc8"]
TORCH = ["features.0", "features.3", "features.6", "features.8", "features.10"]
TORCH += ["classifier.1", "classifier.4", "classifier.6"]


def model(
    pairs: Sequence[tuple[Array, Array]] = WEIGHTS,
    names: Sequence[tuple[str, str]] = [(f"{name}_w_0", f"{name}_b_0") for name in ZOO],
    between: Sequence[str] = ("LRN", "MaxPool"),
    tensor: Callable[[Array, str], Any] = numpy_helper.from_array,
    dense: str = "Gemm",
    before_dense: Sequence[Any] = (),
    groups: Sequence[int] = GROUPS,
) -> Any:
    """A network as a graph: convolutions, each with the operators `between` after it, then dense layers."""
    nodes, initializers, x = [], [], "data"
    for i, ((kernel, bias), (w, b)) in enumerate(zip(pairs, names, strict=True)):
        if kernel.ndim == 4:
            nodes.append(helper.make_node("Conv", [x, w, b], [f"y{i}"], group=groups[i]))
            for j, operator in enumerate(between):
                nodes.append(helper.make_node(operator, [nodes[-1].output[0]], [f"y{i}_{j}"]))
        elif dense == "Gemm":
            nodes.append(helper.make_node("Gemm", [x, w, b], [f"y{i}"], transB=1))
        else:
            nodes.append(helper.make_node("MatMul", [x, w], [f"y{i}_product"]))
            nodes.append(helper.make_node("Add", [b, f"y{i}_product"], [f"y{i}"]))
            kernel = np.ascontiguousarray(kernel.T)
        if i == 4:
            nodes += before_dense
        x = nodes[-1].output[0]
        initializers += [tensor(kernel, w), tensor(bias, b)]
    return helper.make_model(helper.make_graph(nodes, "net", [], [], initializers))


def saved(path: Path, proto: Any) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


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
from finetune.errors import WeightsError
from finetune.pretrained.onnx import read_onnx
try:
    read_onnx(Path({str(path)!r}))
except WeightsError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == (
        "alexnet.onnx: reading ONNX files needs the onnx package; install it with pip install 'finetune[onnx]'\n"
    )


def changed(change: Callable[[Any], Any]) -> bytes:
    """The good file after `change`."""
    proto = model()
    change(proto.graph)
    return bytes(proto.SerializeToString())


def external(graph: Any) -> None:
    tensor = graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"


def constant_of(shape: list[int], **attributes: Any) -> Callable[[Any], None]:
    """Let ConstantOfShape make conv1's kernel."""

    def change(graph: Any) -> None:
        graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array(shape, np.int64), "shape"))
        graph.node.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["conv1_w_0"], **attributes))

    return change


def claims(shape: list[int]) -> Callable[[Any], None]:
    def change(graph: Any) -> None:
        graph.initializer[0].dims[:] = shape

    return change


def without(name: str) -> Callable[[Any], None]:
    def change(graph: Any) -> None:
        kept = [tensor for tensor in graph.initializer if tensor.name != name]
        del graph.initializer[:]
        graph.initializer.extend(kept)

    return change


def cut(graph: Any) -> None:
    graph.initializer[0].raw_data = graph.initializer[0].raw_data[:-4]


def added(operator: str, *inputs: str, **attributes: Any) -> Callable[[Any], None]:
    return lambda graph: graph.node.insert(0, helper.make_node(operator, inputs, ["added"], **attributes))


def quantised(graph: Any) -> None:
    graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((64, 3, 3, 2), np.int8), "conv1_w_0"))


def integers(graph: Any) -> None:
    graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((64, 3, 3, 2), np.int32), "conv1_w_0"))


def scaled(graph: Any) -> None:
    graph.node[-1].attribute.append(helper.make_attribute("alpha", 0.5))


def large_constant(graph: Any) -> None:
    value = numpy_helper.from_array(np.zeros(300_000, np.float32), "")
    graph.node.insert(0, helper.make_node("Constant", [], ["large"], value=value))


GOOD = bytes(model().SerializeToString())
ONLY = (
    "but only Conv, Gemm and MatMul with constant weights can be read; choose a plain AlexNet or VGG16, not quantised"
)
KERNEL = "expected a constant kernel with 4 dimensions and a float for every output, get the file again"
HOSTILE: dict[str, tuple[Any, str]] = {
    "empty": (b"", "expected a weights file, but the file is empty; get it again"),
    "half": (
        GOOD[: len(GOOD) // 2],
        "a field claims .* bytes where .* follow: truncated or damaged; get the file again",
    ),
    "one byte short": (GOOD[:-1], "a field claims 2 bytes where 1 follow: truncated or damaged; get the file again"),
    "nothing in it": (b"\x08\x07", "expected convolutions and dense layers with weights, it has 0 and 0; choose .*"),
    "a node that is none": (b"\x08\x07\x3a\x04\x0a\x02\x0a\x55", "its graph is damaged; get the file again"),
    "data elsewhere": (external, r"refused: the weights conv1_w_0 are in another file; save the model as one file, .*"),
    "cut data": (cut, "conv1_w_0 claims 64×3×3×2 numbers of ONNX type 1, but has 1,151 that can be read; .*"),
    "huge shape": (claims([10**6] * 4), "conv1_w_0 claims 1000000×1000000×1000000×1000000 numbers .* has 1,152 .*"),
    "negative shape": (claims([-64, 3, 3, -2]), "conv1_w_0 claims 18446744073709551552×3×3×1844674.* numbers .*"),
    "100 dimensions": (claims([1] * 99 + [1152]), "conv1_w_0 claims 1×1×.* numbers of ONNX type 1, but has 1,152 .*"),
    "2 dimensions": (claims([64, 18]), f"conv1_w_0 and its bias are 64×18 float32 and 64 float32; {KERNEL}"),
    "bias of another layer": (
        claims([32, 6, 3, 2]),
        f"conv1_w_0 and its bias are 32×6×3×2 float32 and 64 float32; {KERNEL}",
    ),
    "8-bit": (
        quantised,
        "conv1_w_0 claims .* of ONNX type 3, .*; expected 16, 32 or 64-bit floats, get the file again",
    ),
    "integers": (integers, f"conv1_w_0 and its bias are 64×3×3×2 int32 and 64 float32; {KERNEL}"),
    "no kernel": (without("conv1_w_0"), f"the node Conv uses conv1_w_0, conv1_b_0, {ONLY}"),
    "no bias": (without("conv1_b_0"), f"conv1_w_0 and its bias are 64×3×3×2 float32; {KERNEL}"),
    "constant of 10^18": (constant_of([10**9, 10**9]), "refused: conv1_w_0 is a constant of 1000000000×1000000000 .*"),
    "constant of 200 M": (
        constant_of([200_000_001]),
        "refused: .* at most 200,000,000, as the largest layer of any .*",
    ),
    "negative constant": (constant_of([-3, 5]), "refused: conv1_w_0 is a constant of -3×5 numbers; .*"),
    "constant of many": (
        constant_of([64, 3, 3, 2], value=numpy_helper.from_array(np.ones(7, np.float32), "")),
        "refused: conv1_w_0 is a constant of 64×3×3×2 numbers; .*",
    ),
    "large node": (large_constant, r"refused: a node of 1,200,\d+ bytes; expected weights as initializers, .*"),
    "batch norm": (added("BatchNormalization", "data", "a", "b"), f"the node BatchNormalization uses a, b, {ONLY}"),
    "transposed convolution": (
        added("ConvTranspose", "data", "conv1_w_0"),
        f"the node ConvTranspose uses conv1_w_0, {ONLY}",
    ),
    "name for the terminal": (added("\x1b[2J", "data", "conv1_w_0"), rf"the node \\x1b\[2J uses conv1_w_0, {ONLY}"),
    "impossible axes": (
        added("Transpose", "conv1_w_0", perm=[0, 9]),
        "it transposes added along axes that it has not; .*",
    ),
    "scaled product": (scaled, "fc8_w_0 is used scaled or transposed; export it again"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_and_broken_files(tmp_path: Path, case: str) -> None:
    content, message = HOSTILE[case]
    path = tmp_path / "bad.onnx"
    path.write_bytes(content if isinstance(content, bytes) else changed(content))
    tracemalloc.start()
    with pytest.raises(WeightsError, match=rf"\Abad\.onnx: {message}\Z"):
        read_onnx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


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
