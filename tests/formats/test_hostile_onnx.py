"""Damaged and hostile ONNX files, and networks that cannot be read: each is refused with one line."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_files import model

from finetune.errors import WeightsError
from finetune.formats.onnx_file import read_onnx

pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper


def changed(change: Callable[[Any], Any]) -> bytes:
    """Return the good file after `change`."""
    proto = model()
    change(proto.graph)
    return bytes(proto.SerializeToString())


def external(graph: Any) -> None:
    tensor = graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"


def nowhere(graph: Any) -> None:
    """Say that the data is in another file, but not in which."""
    graph.initializer[0].data_location = TensorProto.EXTERNAL


def constant_of(shape: list[int], **attributes: Any) -> Callable[[Any], None]:
    """Let a ConstantOfShape node compute the kernel of conv1."""

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
    "but only Conv, Gemm and MatMul with constant weights can be read; choose a plain AlexNet or VGG16 that is not "
    "quantised"
)
KERNEL = "expected a constant kernel with 4 dimensions and one float per output; get a new copy"
HOSTILE: dict[str, tuple[Any, str]] = {
    "empty": (b"", "expected a weights file, but it is empty; get a new copy"),
    "half": (
        GOOD[: len(GOOD) // 2],
        "a field claims .* bytes, but .* follow: the file is truncated or damaged; get a new copy",
    ),
    "one byte short": (
        GOOD[:-1],
        "a field claims 2 bytes, but 1 follow: the file is truncated or damaged; get a new copy",
    ),
    "nothing in it": (
        b"\x08\x07",
        "expected convolutions and dense layers with weights, but it has 0 and 0; choose .*",
    ),
    "a node that is not one": (b"\x08\x07\x3a\x04\x0a\x02\x0a\x55", "its graph is damaged; get a new copy"),
    "data elsewhere": (external, r"refused: the weights conv1_w_0 are in another file; save the model as one file, .*"),
    "data nowhere": (nowhere, "refused: the weights conv1_w_0 are in another file; save the model as one file, .*"),
    "cut data": (cut, "conv1_w_0 claims 64×3×3×2 numbers of ONNX type 1, but 1,151 can be read; .*"),
    "huge shape": (
        claims([10**6] * 4),
        "conv1_w_0 claims 1000000×1000000×1000000×1000000 numbers .* but 1,152 can be read; .*",
    ),
    "negative shape": (claims([-64, 3, 3, -2]), "conv1_w_0 claims 18446744073709551552×3×3×1844674.* numbers .*"),
    "100 dimensions": (claims([1] * 99 + [1152]), "conv1_w_0 claims 1×1×.* numbers of ONNX type 1, but 1,152 .*"),
    "2 dimensions": (claims([64, 18]), f"conv1_w_0 and its bias are 64×18 float32 and 64 float32; {KERNEL}"),
    "bias of another layer": (
        claims([32, 6, 3, 2]),
        f"conv1_w_0 and its bias are 32×6×3×2 float32 and 64 float32; {KERNEL}",
    ),
    "8-bit": (
        quantised,
        "conv1_w_0 claims .* of ONNX type 3, .*; expected 16, 32 or 64-bit floats; get a new copy",
    ),
    "integers": (integers, f"conv1_w_0 and its bias are 64×3×3×2 int32 and 64 float32; {KERNEL}"),
    "no kernel": (without("conv1_w_0"), f"the node Conv uses conv1_w_0, conv1_b_0, {ONLY}"),
    "no bias": (without("conv1_b_0"), f"conv1_w_0 and its bias are 64×3×3×2 float32; {KERNEL}"),
    "constant of 10^18": (constant_of([10**9, 10**9]), "refused: conv1_w_0 is a constant of 1000000000×1000000000 .*"),
    "constant of 200 M": (
        constant_of([200_000_001]),
        "refused: .* at most 200,000,000, twice the largest layer .*",
    ),
    "negative constant": (constant_of([-3, 5]), "refused: conv1_w_0 is a constant of -3×5 numbers; .*"),
    "constant of many": (
        constant_of([64, 3, 3, 2], value=numpy_helper.from_array(np.ones(7, np.float32), "")),
        "refused: conv1_w_0 is a constant of 64×3×3×2 numbers; .*",
    ),
    "large node": (large_constant, r"refused: a node of 1,200,\d+ bytes; expected weights as initializers; .*"),
    "batch norm": (added("BatchNormalization", "data", "a", "b"), f"the node BatchNormalization uses a, b, {ONLY}"),
    "transposed convolution": (
        added("ConvTranspose", "data", "conv1_w_0"),
        f"the node ConvTranspose uses conv1_w_0, {ONLY}",
    ),
    "name for the terminal": (added("\x1b[2J", "data", "conv1_w_0"), rf"the node \\x1b\[2J uses conv1_w_0, {ONLY}"),
    "impossible axes": (
        added("Transpose", "conv1_w_0", perm=[0, 9]),
        r"it transposes added along axes \[0, 9\], but it has 4 dimensions; .*",
    ),
    "scaled product": (scaled, "fc8_w_0 is used scaled or with a transposed input, which cannot be read; export .*"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_each_is_refused_with_its_message(tmp_path: Path, case: str) -> None:
    content, message = HOSTILE[case]
    path = tmp_path / "bad.onnx"
    path.write_bytes(content if isinstance(content, bytes) else changed(content))
    tracemalloc.start()
    with pytest.raises(WeightsError, match=rf"\Abad\.onnx: {message}\Z"):
        read_onnx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
