"""Compute a network with TensorFlow: one function for each kind of layer.

Weights are a mapping `layer/weight` -> array, tensor or variable, e.g. `conv1/kernel`. Images are (batch, height,
width, channels). There is no state: a result depends only on the arguments, and only batch norm in training changes
something, its running statistics.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from math import prod
from typing import Any, NamedTuple
from zlib import crc32

import tensorflow as tf

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
    Relu,
    window_averages,
)
from finetune.networks.normalization import normalize_compiled, normalize_plain

Weights = Mapping[str, Any]


class BatchPart(NamedTuple):
    """Which images of a larger batch a replica computes: place of the first, how many count, size of the batch.

    Of a part without images one image is computed that does not count.
    """

    first: tf.Tensor
    count: tf.Tensor
    images: tf.Tensor


# The name of a fully connected kernel that is stored as (units, inputs): for batches of 8 to 64 images its product with
# the transposed batch takes half the time of the usual one.
TRANSPOSED = "transposed kernel"


def forward(
    layers: Iterable[Layer],
    weights: Weights,
    x: tf.Tensor,
    *,
    seed: tf.Tensor | None = None,
    part: BatchPart | None = None,
    trained: Collection[str] = (),
    many: bool = False,
) -> tf.Tensor:
    """Return the output of `layers` for a batch `x`; the options are those of `activations`."""
    for _, output in activations(layers, weights, x, seed=seed, part=part, trained=trained, many=many):
        x = output
    return x


def activations(
    layers: Iterable[Layer],
    weights: Weights,
    x: tf.Tensor,
    *,
    seed: tf.Tensor | None = None,
    part: BatchPart | None = None,
    trained: Collection[str] = (),
    many: bool = False,
) -> Iterator[tuple[str, tf.Tensor]]:
    """Yield the name and the output of every layer in forward order; a layer computes in the precision of its weights.

    `seed` (an integer tensor) turns dropout on; each layer and each seed drops other values. With `part`, within a
    replica, dropout masks and batch norm's statistics are those of the whole batch. Batch norm uses the batch's own
    statistics, and updates the running ones, only in layers named in `trained`. `many`: there will be many
    batches of one size, so local response normalisation is compiled for it; not in a graph that is exported.
    """
    for layer in layers:
        match layer:
            case Conv():
                x = _conv(layer, weights, x)
            case LocalResponseNorm():
                x = (normalize_compiled if many else normalize_plain)(layer, x)
            case MaxPool():
                x = tf.nn.max_pool2d(x, layer.pool_size, layer.strides, layer.padding.upper())
            case AdaptiveAveragePool():
                x = _adaptive_average_pool(layer, x)
            case BatchNorm():
                x = _batch_norm(layer, weights, x, part, training=layer.name in trained)
            case Dense():
                x = _dense(layer, weights, x)
            case Relu():
                x = tf.nn.relu(x)
            case Dropout():
                x = x if seed is None else _dropout(layer, x, seed, part)
            case _:
                raise TypeError(f"unknown layer: {layer!r}")
        yield layer.name, x


def normalize(preprocessing: Preprocessing, pixels: tf.Tensor) -> tf.Tensor:
    """Return (pixels - mean) / std as float32, as `Preprocessing.normalize` does for arrays."""
    return (tf.cast(pixels, tf.float32) - tf.constant(preprocessing.mean, tf.float32)) / preprocessing.std


def _conv(layer: Conv, weights: Weights, x: tf.Tensor) -> tf.Tensor:
    kernel, bias = weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]
    padding = layer.padding
    if padding == layer.kernel_size // 2 and layer.strides == 1 and layer.kernel_size % 2:
        padding = "same"  # the same result; TensorFlow's gradients for explicit padding are a third slower
    if isinstance(padding, int):
        x = tf.pad(x, [[0, 0], [padding] * 2, [padding] * 2, [0, 0]])
        padding = "valid"
    # The channels are split because TensorFlow's own grouped convolution trains four times slower on CPUs. Each part
    # has its own bias and ReLU, because TensorFlow fuses them only with the convolution directly before them.
    parts = zip(
        tf.split(x, layer.groups, axis=3),
        tf.split(kernel, layer.groups, axis=3),
        tf.split(bias, layer.groups, axis=0),
        strict=True,
    )
    outputs = [tf.nn.bias_add(tf.nn.conv2d(x, k, layer.strides, padding.upper()), b) for x, k, b in parts]
    if layer.relu:
        outputs = [tf.nn.relu(x) for x in outputs]
    return outputs[0] if layer.groups == 1 else tf.concat(outputs, axis=3)


def _adaptive_average_pool(layer: AdaptiveAveragePool, x: tf.Tensor) -> tf.Tensor:
    height, width = x.shape[1:3]
    if height == width == layer.size:  # every window is one pixel
        return x
    rows, columns = (tf.constant(window_averages(side, layer.size), x.dtype) for side in (height, width))
    return tf.einsum("ih,jw,bhwc->bijc", rows, columns, x)


def _batch_norm(
    layer: BatchNorm, weights: Weights, x: tf.Tensor, part: BatchPart | None, *, training: bool
) -> tf.Tensor:
    gamma, beta, mean, variance = (
        weights[f"{layer.name}/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    if training:
        batch_mean, batch_variance = _moments(x, part)
        mean.assign(layer.momentum * mean + (1 - layer.momentum) * batch_mean)
        variance.assign(layer.momentum * variance + (1 - layer.momentum) * batch_variance)
        mean, variance = batch_mean, batch_variance
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, layer.epsilon)


def _moments(x: tf.Tensor, part: BatchPart | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean and variance of each channel, over the images of all replicas."""
    axes = list(range(len(x.shape) - 1))
    replica = tf.distribute.get_replica_context()
    if part is None or replica.num_replicas_in_sync == 1:
        return tf.nn.moments(x, axes=axes)

    def mean(values: tf.Tensor) -> tf.Tensor:
        total = replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(values[: part.count], axes))
        return total / tf.cast(part.images * prod(x.shape[1:-1]), x.dtype)

    average = mean(x)
    return average, mean(tf.square(x - average))


def _dense(layer: Dense, weights: Weights, x: tf.Tensor) -> tf.Tensor:
    # Flatten by the size of the image: by that of the kernel, an image of another size would change the batch size.
    x = tf.cast(tf.reshape(x, (-1, prod(x.shape[1:]))), weights[f"{layer.name}/bias"].dtype)
    transposed = weights.get(f"{layer.name}/{TRANSPOSED}")
    if transposed is None:
        x = tf.matmul(x, weights[f"{layer.name}/kernel"])
    else:
        x = tf.transpose(tf.matmul(transposed, x, transpose_b=True))
    x = tf.nn.bias_add(x, weights[f"{layer.name}/bias"])
    return tf.nn.relu(x) if layer.relu else x


def _dropout(layer: Dropout, x: tf.Tensor, seed: tf.Tensor, part: BatchPart | None) -> tf.Tensor:
    pair = tf.stack([tf.cast(seed, tf.int64), tf.constant(crc32(layer.name.encode()), tf.int64)])
    if part is None:
        return tf.nn.experimental.stateless_dropout(x, layer.rate, seed=pair)
    ones = tf.ones((part.images, *x.shape[1:]), x.dtype)
    factors = tf.nn.experimental.stateless_dropout(ones, layer.rate, seed=pair)
    return x * factors[part.first : part.first + tf.shape(x)[0]]
