"""ONNX files of the zoo's form and of other exporters, made with the onnx package."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.formats.weights_file import Array

pytest.importorskip("onnx")
from onnx import helper, numpy_helper

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
