"""ONNX, built node by node: Keras' exporter writes grouped convolutions that ONNX Runtime does not load."""

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from finetune.export.small_kernels import as_float16, as_int8
from finetune.model import Model
from finetune.networks.layers import (
    AdaptiveAveragePool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Layer,
    LocalResponseNorm,
    MaxPool,
    Shape,
    window_averages,
)
from finetune.networks.network import Step

OPSET, IR_VERSION = 17, 8  # from 2022: has every operator used here, and older runtimes load it

Kernels = Literal["float32", "float16", "int8"]  # how a file stores them; a runtime computes in float32


def write(path: Path, model: Model) -> None:
    """Write a .onnx file: from `pixels` (batch, size, size, channels) uint8, RGB or gray, to `probabilities`.

    The outputs of its nodes have the names of the network's layers.
    """
    path.write_bytes(serialize(model))


def serialize(model: Model, kernels: Kernels = "float32") -> bytes:
    """Return the content of a .onnx file, as `write` describes it."""
    preprocessing = model.network.preprocessing
    graph = _OnnxGraph(model, kernels)
    x = graph.add("Cast", ["pixels"], "floats", to=TensorProto.FLOAT)
    if preprocessing.channel_order == "BGR":
        x = graph.add("Gather", [x, graph.constant("bgr", np.array([2, 1, 0]))], "bgr_pixels", axis=3)
    x = graph.add("Sub", [x, graph.constant("mean", np.array(preprocessing.mean, np.float32))], "centered")
    x = graph.add("Div", [x, graph.constant("std", np.array(preprocessing.std, np.float32))], "normalized")
    x = graph.add("Transpose", [x], "channels_first", perm=[0, 3, 1, 2])
    for step in model.network.steps():
        x = _add(graph, step, x)
    if model.temperature != 1:
        temperature = graph.constant("temperature", np.array(model.temperature, np.float32))
        x = graph.add("Div", [x, temperature], "scaled_logits")
    graph.add("Softmax", [x], "probabilities", axis=1)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", *model.network.input_shape])
    probabilities = helper.make_tensor_value_info(
        "probabilities", TensorProto.FLOAT, ["batch", model.network.num_classes]
    )
    exported = helper.make_model(
        helper.make_graph(graph.nodes, model.network.name, [pixels], [probabilities], graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="finetune",
    )
    onnx.checker.check_model(exported, full_check=True)
    return exported.SerializeToString()


def predict(file: Path | bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities (batch, classes) that ONNX Runtime computes with a file or its content."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else its import leaves an id of the machine in the cache
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"pixels": pixels})
    return probabilities


class _OnnxGraph:
    """The nodes and constants of the graph so far."""

    def __init__(self, model: Model, kernels: Kernels) -> None:
        self.kernels = kernels
        self.weights = model.weights
        self.first_dense = model.network.first_dense()
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node and return its output's name."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def kernel(self, layer: Layer, value: NDArray[np.float32], positions: int) -> str:
        """Add a layer's kernel (outputs, …) as it is to be stored, and return the name of its float32 values.

        `positions`: as in `small_kernels`.
        """
        name, rows = f"{layer.name}/kernel", value.reshape(len(value), -1)
        match self.kernels:
            case "float32":
                return self.constant(name, value)
            case "float16":
                stored = self.constant(f"{name}/float16", as_float16(rows, positions).reshape(value.shape))
                return self.add("Cast", [stored], name, to=TensorProto.FLOAT)
            case "int8":
                rounded, scales = as_int8(rows, positions)
                stored = self.constant(f"{name}/int8", rounded.reshape(value.shape))
                return self.add("DequantizeLinear", [stored, self.constant(f"{name}/scale", scales)], name, axis=0)

    def weight(self, layer: Layer, name: str) -> NDArray[np.float32]:
        """Return a weight of a layer in the layout of this package."""
        return self.weights[f"{layer.name}/{name}"]


def _add(graph: _OnnxGraph, step: Step, x: str) -> str:
    """Add the nodes of one layer and return the name of its output, (batch, channels, height, width) for images."""
    layer = step.layer
    match layer:
        case Conv():
            kernel = graph.kernel(layer, graph.weight(layer, "kernel").transpose(3, 2, 0, 1), layer.kernel_size**2)
            bias = graph.constant(f"{layer.name}/bias", graph.weight(layer, "bias"))
            pads = _pads(layer, layer.kernel_size, step.input_shape)
            window = {"strides": [layer.strides] * 2, "pads": pads, "group": layer.groups}
            return graph.add("Relu", [graph.add("Conv", [x, kernel, bias], f"{layer.name}_sums", **window)], layer.name)
        case LocalResponseNorm():
            # ONNX divides alpha by the size, as Caffe does.
            values = {"alpha": layer.alpha, "beta": layer.beta, "bias": layer.k, "size": layer.size}
            return graph.add("LRN", [x], layer.name, **values)
        case MaxPool():
            pads = _pads(layer, layer.pool_size, step.input_shape)
            window = {"kernel_shape": [layer.pool_size] * 2, "strides": [layer.strides] * 2, "pads": pads}
            return graph.add("MaxPool", [x], layer.name, **window)
        case AdaptiveAveragePool():
            return _adaptive_average_pool(graph, layer, step.input_shape, x)
        case BatchNorm():
            weights = [
                graph.constant(f"{layer.name}/{name}", graph.weight(layer, name))
                for name in ("gamma", "beta", "moving_mean", "moving_variance")
            ]
            return graph.add("BatchNormalization", [x, *weights], layer.name, epsilon=layer.epsilon)
        case Dense():
            return _dense(graph, layer, step.input_shape, x)
        case Dropout():  # does nothing outside training
            return x
    raise TypeError(f"unknown layer: {layer!r}")


def _dense(graph: _OnnxGraph, layer: Dense, shape: Shape, x: str) -> str:
    kernel, positions = graph.weight(layer, "kernel"), 1
    if len(shape) == 3:  # reorder the rows from height, width, channel to channel, height, width
        kernel = kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        positions = shape[0] * shape[1]
        x = graph.add("Flatten", [x], f"{layer.name}_flatten")
    bias = graph.constant(f"{layer.name}/bias", graph.weight(layer, "bias"))
    inputs = [x, graph.kernel(layer, kernel.T, positions), bias]
    sums = graph.add("Gemm", inputs, f"{layer.name}_sums" if layer.relu else layer.name, transB=1)
    return graph.add("Relu", [sums], layer.name) if layer.relu else sums


def _adaptive_average_pool(graph: _OnnxGraph, layer: AdaptiveAveragePool, shape: Shape, x: str) -> str:
    height, width, _ = shape
    if height == width == layer.size:  # every window is one pixel
        return x
    rows = graph.constant(f"{layer.name}/rows", window_averages(height, layer.size))
    columns = graph.constant(f"{layer.name}/columns", window_averages(width, layer.size).T)
    return graph.add("MatMul", [rows, graph.add("MatMul", [x, columns], f"{layer.name}_columns")], layer.name)


def _pads(layer: Conv | MaxPool, size: int, shape: Shape) -> list[int]:
    """Return the padding at the top, left, bottom and right; "same" puts an odd pixel at the end, as TensorFlow."""
    if layer.padding == "valid":
        return [0] * 4
    if layer.padding != "same":
        return [int(layer.padding)] * 4
    starts, ends = [], []
    for old, new in zip(shape[:2], layer.output_shape(shape)[:2], strict=True):
        added = max(0, (new - 1) * layer.strides + size - old)
        starts.append(added // 2)
        ends.append(added - added // 2)
    return [*starts, *ends]
