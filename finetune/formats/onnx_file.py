"""ONNX files: the model zoo's AlexNet, CaffeNet and VGG16, and these networks as other programs export them.

Only the weights are read: the zoo's files have another input size and padding than the networks they were made from.
Messages and field numbers from onnx/onnx.proto, operators from its docs/Operators.md. The onnx package reads the nodes;
it would copy every weight twice, so the weights are read as views of the mapped file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from finetune.data.preprocessing import TORCHVISION
from finetune.errors import UsageError, WeightsError
from finetune.formats.layer_names import VGG16_CONVS, conv_names, dense_names
from finetune.formats.protobuf import fields, varint
from finetune.formats.untrusted_text import listed, shown
from finetune.formats.weights_file import Array, WeightsFile
from finetune.system.extras import needs
from finetune.system.mapped import map_file
from finetune.system.text import shape_text

if TYPE_CHECKING:
    from onnx import AttributeProto, NodeProto

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5  # ModelProto.graph, GraphProto.node and .initializer
_DATA = {4: "<f4", 10: "<f8"}  # TensorProto.float_data and .double_data; raw_data (9) has the type of the tensor
_DTYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8", 16: ml_dtypes.bfloat16}  # TensorProto.DataType
_MAX_RANK = 32
_MAX_NODE = 1_000_000  # bytes; a node of these networks has a few hundred
_MAX_CONSTANT = 200_000_000  # numbers; VGG16's fc6, the largest kernel here, has 102,760,448
_NHWC = [0, 2, 3, 1]


@dataclass
class _LayerWeights:
    """A convolution or dense layer; `weight` is the name of its kernel in the file."""

    weight: str
    kernel: Array
    bias: Array | None
    groups: int = 1


@dataclass
class _Scan:
    """The state of one pass over the nodes of a graph, in order."""

    file: str
    constants: dict[str, Array | memoryview]  # by name; an initializer that no node has used yet is still a message
    convs: list[_LayerWeights] = field(default_factory=list)
    dense: list[_LayerWeights] = field(default_factory=list)
    products: dict[str, _LayerWeights] = field(default_factory=dict)  # result of a MatMul -> layer, until it has a bias
    operators: list[str] = field(default_factory=list)
    channel_first: bool = True

    def constant(self, name: str) -> Array | None:
        """Return a constant of the file as a view, None when `name` is computed from the input."""
        found = self.constants.get(name)
        if isinstance(found, memoryview):
            found = self.constants[name] = _tensor(self.file, found)
        return found


def read_onnx(path: Path) -> WeightsFile:
    """Return kernels and biases of the convolutions and dense layers in an ONNX file, in the order of its nodes.

    Layers whose weights have names as in the zoo (`conv1_w_0`, `fc6_b_0`) get the names in them, others are named by
    their position. The arrays are views of the mapped file. Raises WeightsError for damaged files, weights in other
    files and other kinds of layers, UsageError when the onnx package is missing.
    """
    try:
        import onnx
    except ImportError:
        raise UsageError(f"{path.name}: reading ONNX {needs('onnx')}") from None
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    nodes, initializers = _messages(path)
    scan = _Scan(path.name, initializers)
    try:
        for message in nodes:
            _step(scan, onnx.NodeProto.FromString(bytes(message)))
    except DecodeError:
        raise WeightsError(f"{path.name}: its graph is damaged; get a new copy") from None
    if not scan.convs or not scan.dense:
        raise WeightsError(
            f"{path.name}: expected convolutions and dense layers with weights, but it has {len(scan.convs)} and "
            f"{len(scan.dense)}; choose an ONNX file of AlexNet or VGG16"
        )
    tensors = {}
    for name, layer in _named(scan).items():
        tensors[f"{name}/kernel"] = layer.kernel
        if layer.bias is not None:
            tensors[f"{name}/bias"] = layer.bias
    metadata = {}
    if len(scan.convs) == len(VGG16_CONVS) and scan.convs[0].weight.startswith(("features.", "vgg0_")):
        # torchvision's VGG16, and the zoo's, which MXNet trained on the same input.
        metadata = {"preprocessing": TORCHVISION.to_json()}
    return WeightsFile(path, "onnx", tensors, scan.channel_first, _network(scan), metadata)


def _messages(path: Path) -> tuple[list[memoryview], dict[str, Array | memoryview]]:
    """Return the messages of the nodes, and those of the initializers by name."""
    nodes: list[memoryview] = []
    initializers: dict[str, Array | memoryview] = {}
    for number, graph in fields(memoryview(map_file(path)), path.name):
        for part, value in fields(graph, path.name) if number == _GRAPH and isinstance(graph, memoryview) else ():
            if part == _NODE and isinstance(value, memoryview):
                if len(value) > _MAX_NODE:
                    raise WeightsError(
                        f"{path.name}: refused: a node of {len(value):,} bytes; expected weights as initializers; "
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
            f"{file}: refused: the weights {shown(name)} are in another file; save the model as one file, e.g. with "
            "onnx.save(onnx.load(file), new)"
        )
    count = sum(map(len, found))
    if kind not in _DTYPES or len(found) != 1 or len(shape) > _MAX_RANK or count != prod(shape):
        raise WeightsError(
            f"{file}: {shown(name)} claims {shape_text(shape[:_MAX_RANK])} numbers of ONNX type {kind}, but {count:,} "
            "can be read; expected 16, 32 or 64-bit floats; get a new copy"
        )
    return found[0].reshape(shape)


def _varints(file: str, packed: memoryview) -> list[int]:
    """Return packed integers, at most as many as a tensor can have dimensions."""
    numbers: list[int] = []
    position = 0
    while position < len(packed) and len(numbers) <= _MAX_RANK:
        number, position = varint(packed, position, file)
        numbers.append(number)
    return numbers


def _step(scan: _Scan, node: "NodeProto") -> None:
    """Add to `scan` the weights that one node uses."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    inputs = [scan.constant(name) for name in node.input]
    output = node.output[0] if node.output else ""
    scan.operators.append(node.op_type)
    constant = _constant(scan.file, node.op_type, output, inputs, attributes)
    if constant is not None:
        scan.constants[output] = constant
        return
    match node.op_type, inputs:
        case "Transpose", _:
            # In a file from TensorFlow, the input of the first dense layer is ordered height, width, channel.
            to_nhwc = "perm" in attributes and list(attributes["perm"].ints) == _NHWC
            scan.channel_first &= bool(scan.dense) or not to_nhwc
        case "Conv", [None, np.ndarray() as kernel, *bias]:
            groups = attributes["group"].i if "group" in attributes else 1
            scan.convs.append(_layer(scan, node.input[1], kernel, bias, 4, groups))
        case "Gemm", [None, np.ndarray() as kernel, *bias]:
            transposed = _transposed(scan.file, node.input[1], attributes)
            scan.dense.append(_layer(scan, node.input[1], kernel.T if transposed else kernel, bias, 2))
        case "MatMul", [None, np.ndarray() as kernel]:
            scan.dense.append(_layer(scan, node.input[1], kernel, [], 2))
            scan.products[output] = scan.dense[-1]
        case "Add", [np.ndarray() as bias, None] | [None, np.ndarray() as bias]:
            layer = next((scan.products.pop(name) for name in node.input if name in scan.products), None)
            if layer:
                layer.bias = _layer(scan, layer.weight, layer.kernel, [bias], 2).bias
        case operator, _:
            weights = [constant for constant in inputs if constant is not None and constant.ndim > 1]
            if weights or operator in ("Conv", "Gemm", "BatchNormalization"):
                raise WeightsError(
                    f"{scan.file}: the node {shown(operator)} uses {listed(node.input[1:])}, but only Conv, Gemm and "
                    "MatMul with constant weights can be read; choose a plain AlexNet or VGG16 that is not quantised"
                )


def _constant(
    file: str, operator: str, name: str, inputs: list[Array | None], attributes: Mapping[str, "AttributeProto"]
) -> Array | None:
    """Return the result `name` of a node that computes a constant from constants, None for any other node."""
    match operator, inputs:
        case "Constant", _ if "value" in attributes:
            return _tensor(file, memoryview(attributes["value"].t.SerializeToString()))
        case "ConstantOfShape", [np.ndarray() as shape]:
            value = attributes.get("value")
            fill = _tensor(file, memoryview(value.t.SerializeToString())) if value else np.zeros(1, np.float32)
            return _filled(file, name, shape, fill)
        case "Identity", [np.ndarray() as same]:
            return same
        case "Transpose", [np.ndarray() as matrix]:
            axes = list(attributes["perm"].ints) if "perm" in attributes else None
            if axes is not None and sorted(axes) != list(range(matrix.ndim)):
                raise WeightsError(
                    f"{file}: it transposes {shown(name)} along axes {axes[:_MAX_RANK]}, but it has {matrix.ndim} "
                    "dimensions; get a new copy"
                )
            return matrix.transpose(axes)
    return None


def _transposed(file: str, kernel: str, attributes: Mapping[str, "AttributeProto"]) -> bool:
    """Return whether a Gemm node transposes its kernel; refuse one that scales, or transposes its input."""
    scales = [attributes[name].f for name in ("alpha", "beta") if name in attributes]
    if scales.count(1.0) != len(scales) or ("transA" in attributes and attributes["transA"].i):
        raise WeightsError(
            f"{file}: {shown(kernel)} is used scaled or with a transposed input, which cannot be read; export the "
            "model again as a plain AlexNet or VGG16"
        )
    return "transB" in attributes and bool(attributes["transB"].i)


def _layer(scan: _Scan, weight: str, kernel: Array, bias: list[Any], rank: int, groups: int = 1) -> _LayerWeights:
    """Return a layer with its kernel in this package's axis order, once kernel and bias fit each other."""
    constants = [kernel, *(b for b in bias if b is not None)]
    kernel = kernel.transpose(2, 3, 1, 0) if rank == kernel.ndim == 4 else kernel
    fits = kernel.ndim == rank and kernel.size and all(b.size == kernel.shape[-1] for b in constants[1:])
    if not fits or len(constants) != 1 + len(bias) or any(c.dtype.kind in "iu" for c in constants):
        shapes = " and ".join(f"{shape_text(c.shape)} {c.dtype}" for c in constants)
        raise WeightsError(
            f"{scan.file}: {shown(weight)} and its bias are {shapes}; expected a constant kernel with {rank} "
            "dimensions and one float per output; get a new copy"
        )
    return _LayerWeights(weight, kernel, constants[1].reshape(-1) if bias else None, groups)


def _filled(file: str, name: str, shape: Array, fill: Array) -> Array:
    """Return the constant of a ConstantOfShape node as a view of a single number."""
    sizes = [int(size) for size in shape.reshape(-1)[: _MAX_RANK + 1]]
    if len(sizes) > _MAX_RANK or fill.size != 1 or min(sizes, default=1) < 1 or prod(sizes) > _MAX_CONSTANT:
        raise WeightsError(
            f"{file}: refused: {shown(name)} is a constant of {shape_text(sizes[:8])} numbers; expected at most "
            f"{_MAX_CONSTANT:,}, twice the largest layer of these networks; choose another file"
        )
    return np.broadcast_to(fill.reshape(()), sizes)


def _named(scan: _Scan) -> Mapping[str, _LayerWeights]:
    """Return the layers by name in forward order."""
    layers = scan.convs + scan.dense
    zoo = [match[1] for layer in layers if (match := re.fullmatch(r"(conv\d(?:_\d)?|fc\d)_w_\d+", layer.weight))]
    by_position = conv_names(len(scan.convs)) + dense_names(len(scan.dense), len(scan.convs))
    names = zoo if len(set(zoo)) == len(layers) else by_position
    return dict(zip(names, layers, strict=True))


def _network(scan: _Scan) -> str | None:
    """Return the network's name where the graph shows it."""
    if (len(scan.convs), len(scan.dense)) != (5, 3):
        return None
    if [conv.groups for conv in scan.convs] == [1, 2, 1, 2, 2]:
        first = next((operator for operator in scan.operators if operator in ("LRN", "MaxPool")), "")
        # AlexNet normalises before it pools, CaffeNet after.
        return {"LRN": "alexnet", "MaxPool": "caffenet"}.get(first) if "LRN" in scan.operators else None
    single = scan.convs[0].weight == "features.0.weight" and scan.convs[0].kernel.shape[-1] == 64
    return "alexnet-owt" if single and "LRN" not in scan.operators else None
