"""How a network is computed: one function for every kind of layer, on TensorFlow.

Weights are a mapping `layer/weight` -> array, tensor or variable, e.g. `conv1/kernel`. Images are (batch, height,
width, channels). There is no state here: what a call returns depends on its arguments alone, but for batch norm in
training, which moves its running statistics.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
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
from finetune.networks.normalization import normalize_few, normalize_many

Weights = Mapping[str, Any]

# A fully connected kernel may come as (units, inputs) under this name instead: for batches of 8 to 64 images the
# product of that with the transposed batch takes half the time.
TRANSPOSED = "transposed kernel"


def forward(
    layers: Iterable[Layer],
    weights: Weights,
    x: tf.Tensor,
    *,
    seed: tf.Tensor | None = None,
    trained: Collection[str] = (),
    many: bool = False,
) -> tf.Tensor:
    """Return what comes out of `layers` for a batch `x`, as `activations` computes it."""
    for _, output in activations(layers, weights, x, seed=seed, trained=trained, many=many):
        x = output
    return x


def activations(
    layers: Iterable[Layer],
    weights: Weights,
    x: tf.Tensor,
    *,
    seed: tf.Tensor | None = None,
    trained: Collection[str] = (),
    many: bool = False,
) -> Iterator[tuple[str, tf.Tensor]]:
    """Yield every layer's name and output in forward order; a layer computes in the precision of its weights.

    `seed` (an integer tensor) turns dropout on, differently for every layer and seed. Batch norm uses the batch's
    own statistics, and moves the running ones, only in layers named in `trained`. `many` says that this will run for
    many batches of one size, so that compiling for it pays.
    """
    for layer in layers:
        match layer:
            case Conv():
                x = _conv(layer, weights, x)
            case LocalResponseNorm():
                x = (normalize_many if many else normalize_few)(layer, x)
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


def normalize(preprocessing: Preprocessing, pixels: tf.Tensor) -> tf.Tensor:
    """Return (pixels - mean) / std as float32, as `Preprocessing.normalize` does with arrays."""
    return (tf.cast(pixels, tf.float32) - tf.constant(preprocessing.mean, tf.float32)) / preprocessing.std


def _conv(layer: Conv, weights: Weights, x: tf.Tensor) -> tf.Tensor:
    kernel, bias = weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]
    padding = layer.padding
    if padding == layer.kernel_size // 2 and layer.strides == 1 and layer.kernel_size % 2:
        padding = "same"  # the same numbers; TensorFlow's gradients for padding in pixels are a third slower
    if isinstance(padding, int):
        x = tf.pad(x, [[0, 0], [padding] * 2, [padding] * 2, [0, 0]])
        padding = "valid"
    # Split channels instead of TensorFlow's own grouped convolution: on CPUs that one trains four times slower.
    # Bias and ReLU belong to the part: only right behind a convolution are they computed within it.
    parts = zip(
        tf.split(x, layer.groups, axis=3),
        tf.split(kernel, layer.groups, axis=3),
        tf.split(bias, layer.groups, axis=0),
        strict=True,
    )
    outputs = [tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, k, layer.strides, padding.upper()), b)) for x, k, b in parts]
    return outputs[0] if layer.groups == 1 else tf.concat(outputs, axis=3)


def _adaptive_average_pool(layer: AdaptiveAveragePool, x: tf.Tensor) -> tf.Tensor:
    height, width = x.shape[1:3]
    if height == width == layer.size:  # every window is one pixel
        return x
    rows, columns = (tf.constant(window_averages(side, layer.size), x.dtype) for side in (height, width))
    return tf.einsum("ih,jw,bhwc->bijc", rows, columns, x)


@cache
def window_averages(side: int, size: int) -> NDArray[np.float32]:
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
    # Flatten by the image's own size: by the kernel's, an input of another size would be dealt out as another batch.
    x = tf.cast(tf.reshape(x, (-1, prod(x.shape[1:]))), weights[f"{layer.name}/bias"].dtype)
    transposed = weights.get(f"{layer.name}/{TRANSPOSED}")
    if transposed is None:
        x = tf.matmul(x, weights[f"{layer.name}/kernel"])
    else:
        x = tf.transpose(tf.matmul(transposed, x, transpose_b=True))
    x = tf.nn.bias_add(x, weights[f"{layer.name}/bias"])
    return tf.nn.relu(x) if layer.relu else x


def _dropout(layer: Dropout, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    pair = tf.stack([tf.cast(seed, tf.int64), tf.constant(crc32(layer.name.encode()), tf.int64)])
    return tf.nn.experimental.stateless_dropout(x, layer.rate, seed=pair)
