"""The .onnx file, run by ONNX Runtime."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.exports import assert_same

from finetune.export.export import export

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.tensorflow


def test_probabilities(weights: Path, tmp_path: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float64]) -> None:
    export(str(weights), "onnx", tmp_path / "out")
    session = onnxruntime.InferenceSession(tmp_path / "out/model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"pixels": pixels})
    assert_same(found, expected)
    (found,) = session.run(["probabilities"], {"pixels": pixels[:1]})
    assert_same(found, expected[:1])


def test_nodes_have_the_names_of_the_layers(weights: Path, tmp_path: Path) -> None:
    export(str(weights), "onnx", tmp_path / "out")
    graph = onnx.load(tmp_path / "out/model.onnx").graph
    outputs = {output for node in graph.node for output in node.output}
    layers = [
        "conv1",
        "norm1",
        "pool1",
        "conv2",
        "norm2",
        "pool2",
        "conv3",
        "conv4",
        "conv5",
        "pool5",
        "fc6",
        "fc7",
        "fc8",
    ]
    assert set(layers) <= outputs
    assert [value.name for value in (*graph.input, *graph.output)] == ["pixels", "probabilities"]
