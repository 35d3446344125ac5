"""Caffe networks written by hand, with the layers that have no weights too, in both generations of layers."""

from collections.abc import Mapping, Sequence

import numpy as np

from finetune.formats.weights_file import Array
from support.weights_bytes import blob, field

REST = ("conv3", "conv4", "conv5", "pool5", "fc6", "fc7", "fc8")
ALEXNET = ("conv1", "norm1", "pool1", "conv2", "norm2", "pool2", *REST)
CAFFENET = ("conv1", "pool1", "norm1", "conv2", "pool2", "norm2", *REST)
KINDS = {"conv": "Convolution", "norm": "LRN", "pool": "Pooling", "relu": "ReLU", "fc": "InnerProduct"}
V1_KINDS = {"conv": 4, "norm": 15, "pool": 17, "relu": 18, "fc": 14}  # V1LayerParameter.LayerType


def caffe_layer(name: str, kind: str, bottom: str, top: str, blobs: Sequence[bytes] = (), v1: bool = False) -> bytes:
    """Return a layer with its input and output; `kind` is a key of `KINDS`."""
    if v1:
        message = field(2, bottom) + field(3, top) + field(4, name) + field(5, V1_KINDS[kind])
        return field(2, message + b"".join(field(6, one) for one in blobs))
    message = field(1, name) + field(2, KINDS[kind]) + field(3, bottom) + field(4, top)
    return field(100, message + b"".join(field(7, one) for one in blobs))


def caffe_net(
    name: str, order: Sequence[str], weights: Mapping[str, Array], last: str = "fc8", v1: bool = False
) -> bytes:
    """Return a net of these layers in this order, each with a ReLU in place; fc8 is called `last`.

    `weights` are this package's, without a spatial extent before fc6, so that its rows have one order.
    """
    net, below = field(1, name), "data"
    for layer in order:
        kind = layer.rstrip("0123456789")
        blobs = []
        if f"{layer}/kernel" in weights:
            kernel, bias = weights[f"{layer}/kernel"], weights[f"{layer}/bias"]
            kernel = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
            blobs = [blob(np.ascontiguousarray(kernel), legacy=v1), blob(bias, legacy=v1)]
        called = last if layer == "fc8" else layer
        net += caffe_layer(called, kind, below, called, blobs, v1)
        if kind == "conv":
            net += caffe_layer(f"relu{layer[-1]}", "relu", called, called, v1=v1)
        below = called
    return net
