"""Keras: a model made of Keras' own layers and operations, which loads without this package."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

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
)

STATISTICS_AND_SCALES = ("gamma", "beta", "moving_mean", "moving_variance")


def write(path: Path, model: Model) -> None:
    """Write a .keras file: from pixels (batch, size, size, channels), 0 to 255, RGB or gray, to probabilities.

    The layers have the names of the network's layers, and the same weights.
    """
    preprocessing = model.network.preprocessing
    pixels = x = keras.Input(model.network.input_shape, name="pixels")
    if preprocessing.channel_order == "BGR":
        x = ops.flip(x, axis=-1)
    variance = [deviation**2 for deviation in preprocessing.std]
    x = layers.Normalization(mean=list(preprocessing.mean), variance=variance, name="normalization")(x)
    for layer in model.network.layers:
        x = _apply(layer, x)
    if model.temperature != 1:
        x = layers.Rescaling(1 / model.temperature, name="temperature")(x)
    built = keras.Model(pixels, layers.Softmax(name="probabilities")(x), name=model.network.name)
    for name in model.network.weighted_layers():
        order = [key for key in ("kernel", "bias", *STATISTICS_AND_SCALES) if f"{name}/{key}" in model.weights]
        built.get_layer(name).set_weights([model.weights[f"{name}/{key}"] for key in order])
    built.save(path)


def predict(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities (batch, classes) that Keras computes with the file."""
    return np.asarray(keras.models.load_model(path)(pixels.astype(np.float32)))


def _apply(layer: Layer, x: Any) -> Any:
    match layer:
        case Conv():
            padding = layer.padding
            if isinstance(padding, int):
                x = layers.ZeroPadding2D(padding, name=f"{layer.name}_padding")(x)
                padding = "valid"
            return layers.Conv2D(
                layer.filters,
                layer.kernel_size,
                layer.strides,
                padding,
                groups=layer.groups,
                activation="relu",
                name=layer.name,
            )(x)
        case LocalResponseNorm():
            return _local_response_norm(layer, x)
        case MaxPool():
            return layers.MaxPooling2D(layer.pool_size, layer.strides, layer.padding, name=layer.name)(x)
        case AdaptiveAveragePool():
            return layers.AdaptiveAveragePooling2D(layer.size, name=layer.name)(x)
        case BatchNorm():
            return layers.BatchNormalization(momentum=layer.momentum, epsilon=layer.epsilon, name=layer.name)(x)
        case Dense():
            x = layers.Flatten(name=f"{layer.name}_flatten")(x) if len(x.shape) > 2 else x
            return layers.Dense(layer.units, "relu" if layer.relu else None, name=layer.name)(x)
        case Dropout():
            return layers.Dropout(layer.rate, name=layer.name)(x)
    raise TypeError(f"unknown layer: {layer!r}")


def _local_response_norm(layer: LocalResponseNorm, x: Any) -> Any:
    """Return x / (k + alpha · mean of x² over `size` channels)^beta, with pooling along the channels."""
    height, width, channels = x.shape[1:]
    radius = layer.size // 2
    squares = ops.reshape(ops.square(x), (-1, height * width, channels, 1))
    squares = ops.pad(squares, ((0, 0), (0, 0), (radius, radius), (0, 0)))
    means = ops.reshape(ops.average_pool(squares, (1, layer.size), strides=1), (-1, height, width, channels))
    return layers.Multiply(name=layer.name)([x, ops.power(layer.k + layer.alpha * means, -layer.beta)])
