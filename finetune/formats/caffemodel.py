"""Caffe's binary weights, as the Berkeley Vision and Learning Center publishes them.

Messages and field numbers from BVLC's src/caffe/proto/caffe.proto: NetParameter, LayerParameter, the older
V1LayerParameter (before October 2014, as in bvlc_alexnet.caffemodel), BlobProto and BlobShape.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from finetune.errors import WeightsError
from finetune.formats.protobuf import Value, fields, varint
from finetune.formats.weights_file import Array, WeightsFile
from finetune.system.mapped import map_file
from finetune.system.text import shape_text

# The names that published networks have in their files; they count where the layers do not show the network.
_NETWORKS = {"AlexNet": "alexnet", "CaffeNet": "caffenet", "VGG_ILSVRC_16_layers": "vgg16"}
_NETWORKS |= {name: name for name in _NETWORKS.values()}

_V1_TYPES = {4: "Convolution", 14: "InnerProduct", 15: "LRN", 17: "Pooling"}  # V1LayerParameter.LayerType
_WEIGHTED = ("Convolution", "InnerProduct")
_V1, _LAYER = 2, 100  # NetParameter.layers and NetParameter.layer
# The networks that differ only in what their normalisation follows.
_BEFORE_NORMALISATION = {"Convolution": "alexnet", "Pooling": "caffenet"}


@dataclass
class _Layer:
    """A layer as the file describes it; `bottom` and `top` are the names of its input and output."""

    name: str = ""
    kind: str = ""
    bottom: str = ""
    top: str = ""
    blobs: list[memoryview] = field(default_factory=list)


def read_caffemodel(path: Path) -> WeightsFile:
    """Read the convolutions and inner products as transposed views of the mapped file; skip layers without blobs.

    Kernels have this package's axis order, but their bytes keep Caffe's and may start at any byte: copy one tensor at
    a time. Raises WeightsError for damaged files and for layers of another kind that own weights.
    """
    tensors: dict[str, Array] = {}
    layers = []
    net = ""
    for number, value in fields(memoryview(map_file(path)), path.name):
        if number == 1 and isinstance(value, memoryview):
            net = _text(value)
        elif number in (_V1, _LAYER) and isinstance(value, memoryview):
            layers.append(_layer(path.name, value, v1=number == _V1))
            for name, tensor in _weights(path.name, layers[-1]):
                if name in tensors:
                    raise WeightsError(f"{path.name}: two layers own {name}; expected one; get a new copy of the file")
                tensors[name] = tensor
    if not tensors:
        raise WeightsError(
            f"{path.name}: expected a Caffe network with weights, but no layer has any; choose another file"
        )
    network = _network_by_order(layers)
    if network is None and _in_two_groups(tensors) and any(layer.kind == "Pooling" for layer in layers):
        raise WeightsError(
            f"{path.name}: has AlexNet's groups, but normalises neither after conv1 and conv2, as AlexNet does, nor "
            "after pool1 and pool2, as CaffeNet does; choose weights of one of these"
        )
    return WeightsFile(path, "caffemodel", tensors, channel_first=True, network=network or _NETWORKS.get(net))


def read_mean(path: Path) -> tuple[float, ...]:
    """Return the mean per channel, in the file's order, of a mean image such as imagenet_mean.binaryproto.

    Raises WeightsError if it is damaged or not an image.
    """
    image = _blob(path.name, "the mean image", memoryview(map_file(path)))
    if image.ndim not in (3, 4) or prod(image.shape[:-3]) != 1:
        raise WeightsError(
            f"{path.name}: expected a mean image, channels × height × width, but it is {_size(image.shape)}; choose "
            "another file"
        )
    return tuple(map(float, image.reshape(image.shape[-3], -1).mean(axis=1, dtype=np.float64)))


def _network_by_order(layers: Sequence[_Layer]) -> str | None:
    """Return the network whose two normalisations follow the same kind of layer as in the file; None for others.

    Caffe computes the layers in the order of the file. The name of the net says less: BVLC's own fine-tuned CaffeNets
    and those of others are called anything, AlexNet included.
    """
    made_by: dict[str, str] = {}  # output -> the last layer before it that convolves, pools or normalises
    previous, before = "", []
    for layer in layers:
        kind = made_by.get(layer.bottom, previous)
        if layer.kind == "LRN":
            before.append(kind)
        if layer.kind in _V1_TYPES.values():
            kind = layer.kind
        made_by[layer.top] = previous = kind
    return _BEFORE_NORMALISATION.get(before[0]) if len(before) > 1 and len(set(before)) == 1 else None


def _in_two_groups(tensors: Mapping[str, Array]) -> bool:
    """Return whether conv2 reads half of conv1's filters, as in AlexNet and CaffeNet alone."""
    conv1, conv2 = (tensors.get(f"{name}/kernel") for name in ("conv1", "conv2"))
    return conv1 is not None and conv2 is not None and 2 * conv2.shape[-2] == conv1.shape[-1]


def _layer(file: str, message: memoryview, *, v1: bool) -> _Layer:
    """Return a LayerParameter or V1LayerParameter, of several inputs or outputs the first."""
    name_field, type_field, bottom_field, top_field, blobs_field = (4, 5, 2, 3, 6) if v1 else (1, 2, 3, 4, 7)
    layer = _Layer()
    for number, value in fields(message, file):
        if number == type_field and isinstance(value, int):
            layer.kind = _V1_TYPES.get(value, str(value))
        elif v1 and number == 1:  # V1LayerParameter.layer, a V0LayerParameter
            raise WeightsError(
                f"{file}: written by a Caffe version from before 2014 (V0 layers); convert it with Caffe's "
                "upgrade_net_proto_binary"
            )
        elif not isinstance(value, memoryview):
            continue
        elif number == name_field:
            layer.name = _text(value)
        elif number == type_field:
            layer.kind = _text(value)
        elif number == bottom_field:
            layer.bottom = layer.bottom or _text(value)
        elif number == top_field:
            layer.top = layer.top or _text(value)
        elif number == blobs_field:
            layer.blobs.append(value)
    return layer


def _weights(file: str, layer: _Layer) -> Iterator[tuple[str, Array]]:
    """Yield the kernel and bias of a layer under this package's names."""
    name, kind, blobs = layer.name, layer.kind, layer.blobs
    if not blobs:
        return
    if kind not in _WEIGHTED or len(blobs) > 2:
        raise WeightsError(
            f"{file}: layer {name} has type {kind or 'none'} and {len(blobs)} blobs; expected Convolution or "
            "InnerProduct with kernel and bias; choose a model in which no other layer has weights"
        )
    kernel = _kernel(file, name, kind, _blob(file, name, blobs[0]))
    yield f"{name}/kernel", kernel
    for bias in blobs[1:]:
        values = _blob(file, name, bias).reshape(-1)
        if len(values) != kernel.shape[-1]:
            turned = kernel.ndim == 2 and len(values) == kernel.shape[0]
            advice = "its kernel is transposed; write it as outputs × inputs" if turned else "get a new copy"
            raise WeightsError(f"{file}: {name} has {len(values)} biases for {kernel.shape[-1]} outputs; {advice}")
        yield f"{name}/bias", values


def _kernel(file: str, name: str, kind: str, blob: Array) -> Array:
    if kind == "Convolution" and blob.ndim == 4:
        return blob.transpose(2, 3, 1, 0)  # outputs, inputs, height, width -> height, width, inputs, outputs
    if kind == "InnerProduct" and blob.ndim >= 2 and prod(blob.shape[:-2]) == 1:  # V1 writes 1 × 1 × outputs × inputs
        return blob.reshape(blob.shape[-2:]).T
    raise WeightsError(
        f"{file}: the kernel of {name} is {_size(blob.shape)}, which does not fit a layer of type {kind}; get a new "
        "copy of the file"
    )


def _blob(file: str, name: str, message: memoryview) -> Array:
    """Return a BlobProto as an array of float32 or float64."""
    legacy = [0, 0, 0, 0]  # num, channels, height, width
    shape: list[int] | None = None
    data = []
    for number, value in fields(message, file):
        match number, value:
            case ((1 | 2 | 3 | 4), int()):
                legacy[number - 1] = _signed(value)
            case 7, memoryview():
                shape = _shape(file, value)
            case ((5 | 8), memoryview()):
                data.append(_packed(file, name, value, np.dtype("<f4" if number == 5 else "<f8")))
            case ((5 | 8), np.ndarray()):
                data.append(value)
    shape = legacy if shape is None else shape
    found = sum(map(len, data))
    if len(data) != 1 or not shape or min(shape) < 1 or prod(shape) != found:
        raise WeightsError(
            f"{file}: a blob of {name} is {_size(shape)}, but has {found:,} numbers in {len(data)} parts: the file is "
            "damaged; get a new copy"
        )
    return data[0].reshape(shape)


def _packed(file: str, name: str, data: memoryview, dtype: np.dtype[Any]) -> Array:
    if len(data) % dtype.itemsize:
        raise WeightsError(f"{file}: a blob of {name} ends within a number: the file is damaged; get a new copy")
    return np.frombuffer(data, dtype)


def _shape(file: str, message: memoryview) -> list[int]:
    """Return the dimensions in a BlobShape, packed or not."""
    shape = []
    for _, value in fields(message, file):
        if isinstance(value, int):
            shape.append(_signed(value))
        elif isinstance(value, memoryview):
            position = 0
            while position < len(value) and len(shape) < 32:  # Caffe's own limit of axes
                dimension, position = varint(value, position, file)
                shape.append(_signed(dimension))
    return shape


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _text(value: Value) -> str:
    return ascii(bytes(value[:100]).decode(errors="replace"))[1:-1][:100] if isinstance(value, memoryview) else ""


def _size(shape: Sequence[int]) -> str:
    return shape_text(shape) or "without dimensions"
