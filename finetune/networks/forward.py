"""How a network is computed: one function for every kind of layer, on TensorFlow.

Weights are a mapping `layer/weight` -> array, tensor or variable, e.g. `conv1/kernel`. Images are (batch, height,
width, channels). There is no state here: what a call returns depends on its arguments alone, but for batch norm in
training, which moves its running statistics.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from math import prod
from typing import Any
from zlib import crc32

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.data.preprocessing import Preprocessing
from finetune.networks.layers import (
    AdaptiveAveragePool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Layer,
    LocalResponseNorm,
    MaxPool,
)
from finetune.networks.precision import Precision

Weights = Mapping[str, Any]


def forward(
    layers: Iterable[Layer],
    weights: Weights,
    x: tf.Tensor,
    *,
    seed: tf.Tensor | None = None,
    trained: Collection[str] = (),
) -> tf.Tensor:
    """Return what comes out of `layers` for a batch `x`, as `activations` computes it."""
    for _, output in activations(layers, weights, x, seed=seed, trained=trained):
        x = output
    return x


def activations(
    layers: Iterable[Layer],
    weights: Weights,
    x: tf.Tensor,
    *,
    seed: tf.Tensor | None = None,
    trained: Collection[str] = (),
) -> Iterator[tuple[str, tf.Tensor]]:
    """Yield every layer's name and output in forward order.

    `seed` (an integer tensor) turns dropout on, differently for every layer and seed. Batch norm uses the batch's
    own statistics, and moves the running ones, only in layers named in `trained`.
    """
    for layer in layers:
        match layer:
            case Conv():
                x = _conv(layer, weights, x)
            case LocalResponseNorm():
                x = _local_response_norm(layer, x)
            case MaxPool():
                x = tf.nn.max_pool2d(x, layer.pool_size, layer.strides, layer.padding.upper())
            case AdaptiveAveragePool():
                x = _adaptive_average_pool(layer, x)
            case BatchNorm():
                x = _batch_norm(layer, weights, x, training=layer.name in trained)
            case Dense():
                x = _dense(layer, weights, x)
            case Dropout():
                x = x if seed is None else _dropout(layer, x, seed)
            case _:
                raise TypeError(f"forward does not know the layer {layer!r}")
        yield layer.name, x


def compile_forward(
    layers: Sequence[Layer], weights: Weights, preprocessing: Preprocessing, precision: Precision = "float32"
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return the function from a batch of input pixels (batch, size, size, channels) to the output of `layers`.

    The arithmetic is done in `precision`; what comes out is float32.
    """
    names = {layer.name for layer in layers}
    constants = {
        name: tf.cast(tf.constant(value), precision) for name, value in weights.items() if name.split("/")[0] in names
    }
    size = preprocessing.size

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, preprocessing.channels), tf.uint8)])
    def compute(pixels: tf.Tensor) -> tf.Tensor:
        x = tf.cast(normalize(preprocessing, pixels), precision)
        return tf.cast(forward(layers, constants, x), tf.float32)

    return lambda pixels: compute(tf.constant(pixels)).numpy()


def normalize(preprocessing: Preprocessing, pixels: tf.Tensor) -> tf.Tensor:
    """Return (pixels - mean) / std as float32, as `Preprocessing.normalize` does with arrays."""
    return (tf.cast(pixels, tf.float32) - tf.constant(preprocessing.mean, tf.float32)) / preprocessing.std


def _conv(layer: Conv, weights: Weights, x: tf.Tensor) -> tf.Tensor:
    kernel, bias = weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]
    if isinstance(layer.padding, str):
        padding: Any = layer.padding.upper()
    else:
        padding = [[0, 0], [layer.padding] * 2, [layer.padding] * 2, [0, 0]]
    # Split channels instead of TensorFlow's own grouped convolution: on CPUs that one trains four times slower.
    outputs = [
        tf.nn.conv2d(part, part_kernel, layer.strides, padding)
        for part, part_kernel in zip(
            tf.split(x, layer.groups, axis=3), tf.split(kernel, layer.groups, axis=3), strict=True
        )
    ]
    x = outputs[0] if layer.groups == 1 else tf.concat(outputs, axis=3)
    return tf.nn.relu(tf.nn.bias_add(x, bias))


def _local_response_norm(layer: LocalResponseNorm, x: tf.Tensor) -> tf.Tensor:
    channels = x.shape[3]
    # The sum over neighbouring channels as a product with a band of ones: faster than tf.nn.lrn on every CPU tried.
    band = tf.constant(_band(channels, layer.size), x.dtype)
    sums = tf.reshape(tf.matmul(tf.reshape(x * x, (-1, channels)), band), tf.shape(x))
    scale = tf.cast(layer.k, x.dtype) + tf.cast(layer.alpha / layer.size, x.dtype) * sums
    if layer.beta == 0.75:
        root = tf.math.rsqrt(scale)  # scale^-0.75 without the slow general power
        return x * root * tf.sqrt(root)
    return x * scale**-layer.beta


@cache
def _band(channels: int, size: int) -> NDArray[np.float32]:
    """Return the (channels, channels) matrix with ones within size // 2 of the diagonal."""
    index = np.arange(channels)
    return (abs(index[:, None] - index) <= size // 2).astype(np.float32)


def _adaptive_average_pool(layer: AdaptiveAveragePool, x: tf.Tensor) -> tf.Tensor:
    height, width = x.shape[1:3]
    if height == width == layer.size:  # every window is one pixel
        return x
    rows, columns = (tf.constant(_averages(side, layer.size), x.dtype) for side in (height, width))
    return tf.einsum("ih,jw,bhwc->bijc", rows, columns, x)


@cache
def _averages(side: int, size: int) -> NDArray[np.float32]:
    """Return the (size, side) matrix that takes the mean of every window along one side."""
    matrix = np.zeros((size, side), np.float32)
    for i in range(size):
        start, end = i * side // size, -(-(i + 1) * side // size)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


def _batch_norm(layer: BatchNorm, weights: Weights, x: tf.Tensor, *, training: bool) -> tf.Tensor:
    gamma, beta, mean, variance = (
        weights[f"{layer.name}/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    if training:
        batch_mean, batch_variance = tf.nn.moments(x, axes=list(range(len(x.shape) - 1)))
        mean.assign(layer.momentum * mean + (1 - layer.momentum) * batch_mean)
        variance.assign(layer.momentum * variance + (1 - layer.momentum) * batch_variance)
        mean, variance = batch_mean, batch_variance
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, layer.epsilon)


def _dense(layer: Dense, weights: Weights, x: tf.Tensor) -> tf.Tensor:
    kernel, bias = weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]
    # Flatten by the image's own size: by the kernel's, an input of another size would be dealt out as another batch.
    x = tf.nn.bias_add(tf.matmul(tf.reshape(x, (-1, prod(x.shape[1:]))), kernel), bias)
    return tf.nn.relu(x) if layer.relu else x


def _dropout(layer: Dropout, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    pair = tf.stack([tf.cast(seed, tf.int64), tf.constant(crc32(layer.name.encode()), tf.int64)])
    return tf.nn.experimental.stateless_dropout(x, layer.rate, seed=pair)
