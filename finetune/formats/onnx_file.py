"""ONNX files: the model zoo's AlexNet, CaffeNet and VGG16, and what other programs export of these networks.

Only the weights are taken: the zoo's files have another input size and padding than the networks they were made from.
Messages and field numbers from onnx/onnx.proto, what the operators mean from its docs/Operators.md. The onnx package
reads the nodes; it would copy every weight twice, so those are taken as views of the mapped file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from finetune.errors import UsageError, WeightsError
from finetune.formats.layer_names import VGG16_CONVS, conv_names, dense_names, listed
from finetune.formats.mapped import map_file
from finetune.formats.protobuf import fields, varint
from finetune.formats.weights_file import Array, WeightsFile
from finetune.networks import build
from finetune.system.extras import needs

if TYPE_CHECKING:
    from onnx import NodeProto

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5  # ModelProto.graph, GraphProto.node and .initializer
_DATA = {4: "<f4", 10: "<f8"}  # TensorProto.float_data and .double_data; raw_data (9) has the type of the tensor
_DTYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8", 16: ml_dtypes.bfloat16}  # TensorProto.DataType
_MAX_RANK = 32
_MAX_NODE = 1_000_000  # bytes; a node of these networks has some hundred
_MAX_CONSTANT = 200_000_000  # numbers; VGG16's fc6, the largest kernel here, has 102,760,448
_NHWC = [0, 2, 3, 1]


@dataclass
class _Layer:
    """A convolution or dense layer; `weight` is what the file calls its kernel."""

    weight: str
    kernel: Array
    bias: Array | None
    groups: int = 1


@dataclass
class _Graph:
    """What is known while walking the nodes in order."""

    file: str
    constants: dict[str, Array | memoryview]  # by name; an initializer that no node has asked for is still a message
    convs: list[_Layer] = field(default_factory=list)
    dense: list[_Layer] = field(default_factory=list)
    products: dict[str, _Layer] = field(default_factory=dict)  # what a MatMul returns, until an Add brings its bias
    operators: list[str] = field(default_factory=list)
    channel_first: bool = True

    def constant(self, name: str) -> Array | None:
        """Return a constant of the file as a view, None when `name` is something computed from the input."""
        found = self.constants.get(name)
        if isinstance(found, memoryview):
            found = self.constants[name] = _tensor(self.file, found)
        return found


def read_onnx(path: Path) -> WeightsFile:
    """Return kernels and biases of the convolutions and dense layers in an ONNX file, in the order of its nodes.

    Layers whose weights are called as in the zoo (`conv1_w_0`, `fc6_b_0`) get these names, others are named by their
    position. The arrays are views of the mapped file. Raises WeightsError for damaged files, weights in other files
    and other kinds of layers, UsageError when the onnx package is missing.
    """
    try:
        import onnx
    except ImportError:
        raise UsageError(f"{path.name}: reading ONNX {needs('onnx')}") from None
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    nodes, initializers = _messages(path)
    graph = _Graph(path.name, initializers)
    try:
        for message in nodes:
            _step(graph, onnx.NodeProto.FromString(bytes(message)))
    except DecodeError:
        raise WeightsError(f"{path.name}: its graph is damaged; get the file again") from None
    if not graph.convs or not graph.dense:
        raise WeightsError(
            f"{path.name}: expected convolutions and dense layers with weights, it has {len(graph.convs)} and "
            f"{len(graph.dense)}; choose an ONNX file of AlexNet or VGG16"
        )
    tensors = {}
    for name, layer in _named(graph).items():
        tensors[f"{name}/kernel"] = layer.kernel
        if layer.bias is not None:
            tensors[f"{name}/bias"] = layer.bias
    metadata = {}
    if len(graph.convs) == len(VGG16_CONVS) and graph.convs[0].weight.startswith(("features.", "vgg0_")):
        # torchvision's VGG16 and the zoo's, which MXNet trained: both on the same input as torchvision's AlexNet.
        metadata = {"preprocessing": build("alexnet-owt").preprocessing.to_json()}
    return WeightsFile(path, "onnx", tensors, graph.channel_first, _network(graph), metadata)


def _messages(path: Path) -> tuple[list[memoryview], dict[str, Array | memoryview]]:
    """Return the messages of the nodes, and those of the initializers by name."""
    nodes: list[memoryview] = []
    initializers: dict[str, Array | memoryview] = {}
    for number, graph in fields(memoryview(map_file(path)), path.name):
        for part, value in fields(graph, path.name) if number == _GRAPH and isinstance(graph, memoryview) else ():
            if part == _NODE and isinstance(value, memoryview):
                if len(value) > _MAX_NODE:
                    raise WeightsError(
                        f"{path.name}: refused: a node of {len(value):,} bytes; expected weights as initializers, so "
                        "export the model again with them"
                    )
                nodes.append(value)
            elif part == _INITIALIZER and isinstance(value, memoryview):
                names = [text for key, text in fields(value, path.name) if key == 8 and isinstance(text, memoryview)]
                initializers[str(bytes(names[-1]), errors="replace") if names else ""] = value
    return nodes, initializers


def _tensor(file: str, message: memoryview) -> Array:
    """Return a TensorProto as an array that is a view of the message."""
    shape: list[int] = []
    kind, name, found, external = 0, "", [], False
    for number, value in fields(message, file):
        match number, value:
            case 1, int():
                shape.append(value)
            case 1, memoryview():
                shape += _varints(file, value)
            case 2, int():
                kind = value
            case 7, memoryview():  # int64_data, only for shapes
                found.append(np.array(_varints(file, value), np.uint64).view(np.int64))
            case 8, memoryview():
                name = str(bytes(value[:100]), errors="replace")
            case ((4 | 10 | 9), memoryview()):
                dtype = np.dtype(_DATA.get(number, _DTYPES.get(kind, np.uint8)))
                found.append(np.frombuffer(value[: len(value) // dtype.itemsize * dtype.itemsize], dtype))
            case ((4 | 10), np.ndarray()):  # not packed
                found.append(value)
            case (13, _) | (14, 1):
                external = True
    if external:
        raise WeightsError(
            f"{file}: refused: the weights {listed([name])} are in another file; save the model as one file, e.g. "
            "onnx.save(onnx.load(file), new)"
        )
    count = sum(map(len, found))
    if kind not in _DTYPES or len(found) != 1 or len(shape) > _MAX_RANK or count != prod(shape):
        raise WeightsError(
            f"{file}: {listed([name])} claims {'×'.join(map(str, shape[:_MAX_RANK]))} numbers of ONNX type {kind}, but "
            f"has {count:,} that can be read; expected 16, 32 or 64-bit floats, get the file again"
        )
    return found[0].reshape(shape)


def _varints(file: str, packed: memoryview) -> list[int]:
    """Return packed integers, as many as a tensor can have dimensions."""
    numbers: list[int] = []
    position = 0
    while position < len(packed) and len(numbers) <= _MAX_RANK:
        number, position = varint(packed, position, file)
        numbers.append(number)
    return numbers


def _step(graph: _Graph, node: "NodeProto") -> None:
    """Take what a node says about the weights."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    constants = [graph.constant(name) for name in node.input]
    output = node.output[0] if node.output else ""
    graph.operators.append(node.op_type)
    match node.op_type, constants:
        case "Constant", _ if "value" in attributes:
            graph.constants[output] = _tensor(graph.file, memoryview(attributes["value"].t.SerializeToString()))
        case "ConstantOfShape", [np.ndarray() as shape]:
            value = attributes.get("value")
            fill = _tensor(graph.file, memoryview(value.t.SerializeToString())) if value else np.zeros(1, np.float32)
            graph.constants[output] = _filled(graph.file, output, shape, fill)
        case "Identity", [np.ndarray() as same]:
            graph.constants[output] = same
        case "Transpose", [np.ndarray() as matrix]:
            axes = list(attributes["perm"].ints) if "perm" in attributes else None
            if axes is not None and sorted(axes) != list(range(matrix.ndim)):
                raise WeightsError(
                    f"{graph.file}: it transposes {listed([output])} along axes that it has not; get it again"
                )
            graph.constants[output] = matrix.transpose(axes)
        case "Transpose", _:
            # Exported from TensorFlow: what enters the first dense layer is height, width, channel.
            graph.channel_first &= (
                bool(graph.dense) or "perm" not in attributes or list(attributes["perm"].ints) != _NHWC
            )
        case "Conv", [None, np.ndarray() as kernel, *bias]:
            groups = attributes["group"].i if "group" in attributes else 1
            graph.convs.append(_layer(graph, node.input[1], kernel, bias, 4, groups))
        case "Gemm", [None, np.ndarray() as kernel, *bias]:
            scales = [attributes[name].f for name in ("alpha", "beta") if name in attributes]
            if scales.count(1.0) != len(scales) or ("transA" in attributes and attributes["transA"].i):
                raise WeightsError(
                    f"{graph.file}: {listed([node.input[1]])} is used scaled or transposed; export it again"
                )
            transposed = "transB" in attributes and attributes["transB"].i
            graph.dense.append(_layer(graph, node.input[1], kernel.T if transposed else kernel, bias, 2))
        case "MatMul", [None, np.ndarray() as kernel]:
            graph.dense.append(_layer(graph, node.input[1], kernel, [], 2))
            graph.products[output] = graph.dense[-1]
        case "Add", [np.ndarray() as bias, None] | [None, np.ndarray() as bias]:
            layer = next((graph.products.pop(name) for name in node.input if name in graph.products), None)
            if layer:
                layer.bias = _layer(graph, layer.weight, layer.kernel, [bias], 2).bias
        case operator, _:
            weights = [constant for constant in constants if constant is not None and constant.ndim > 1]
            if weights or operator in ("Conv", "Gemm", "BatchNormalization"):
                raise WeightsError(
                    f"{graph.file}: the node {listed([operator])} uses {listed(node.input[1:])}, but only Conv, Gemm "
                    "and MatMul with constant weights can be read; choose a plain AlexNet or VGG16, not quantised"
                )


def _layer(graph: _Graph, weight: str, kernel: Array, bias: list[Any], rank: int, groups: int = 1) -> _Layer:
    """Return a checked layer with its kernel in the order of this package."""
    constants = [kernel, *(b for b in bias if b is not None)]
    kernel = kernel.transpose(2, 3, 1, 0) if rank == kernel.ndim == 4 else kernel
    fits = kernel.ndim == rank and kernel.size and all(b.size == kernel.shape[-1] for b in constants[1:])
    if not fits or len(constants) != 1 + len(bias) or any(c.dtype.kind in "iu" for c in constants):
        shapes = " and ".join("×".join(map(str, c.shape)) + f" {c.dtype}" for c in constants)
        raise WeightsError(
            f"{graph.file}: {listed([weight])} and its bias are {shapes}; expected a constant kernel with {rank} "
            "dimensions and a float for every output, get the file again"
        )
    return _Layer(weight, kernel, constants[1].reshape(-1) if bias else None, groups)


def _filled(file: str, name: str, shape: Array, fill: Array) -> Array:
    """Return what ConstantOfShape stands for, as a view of a single number."""
    sizes = [int(size) for size in shape.reshape(-1)[: _MAX_RANK + 1]]
    if len(sizes) > _MAX_RANK or fill.size != 1 or min(sizes, default=1) < 1 or prod(sizes) > _MAX_CONSTANT:
        raise WeightsError(
            f"{file}: refused: {listed([name])} is a constant of {'×'.join(map(str, sizes[:8]))} numbers; expected at "
            f"most {_MAX_CONSTANT:,}, as the largest layer of any network here has"
        )
    return np.broadcast_to(fill.reshape(()), sizes)


def _named(graph: _Graph) -> Mapping[str, _Layer]:
    """Return the layers by name in forward order."""
    layers = graph.convs + graph.dense
    zoo = [match[1] for layer in layers if (match := re.fullmatch(r"(conv\d(?:_\d)?|fc\d)_w_\d+", layer.weight))]
    by_position = conv_names(len(graph.convs)) + dense_names(len(graph.dense), len(graph.convs))
    names = zoo if len(set(zoo)) == len(layers) else by_position
    return dict(zip(names, layers, strict=True))


def _network(graph: _Graph) -> str | None:
    """Return the network where the graph itself tells it."""
    if (len(graph.convs), len(graph.dense)) != (5, 3):
        return None
    if [conv.groups for conv in graph.convs] == [1, 2, 1, 2, 2]:
        first = next((operator for operator in graph.operators if operator in ("LRN", "MaxPool")), "")
        # AlexNet normalises before it pools, CaffeNet after.
        return {"LRN": "alexnet", "MaxPool": "caffenet"}.get(first) if "LRN" in graph.operators else None
    single = graph.convs[0].weight == "features.0.weight" and graph.convs[0].kernel.shape[-1] == 64
    return "alexnet-owt" if single and "LRN" not in graph.operators else None
