"""A network as a keras.Model, made of Keras' own layers and operations: its file loads without this package."""

from typing import Any

import keras
from keras import layers, ops

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
from finetune.networks.network import Network
from finetune.networks.numpy_forward import WeightArrays

STATISTICS_AND_SCALES = ("gamma", "beta", "moving_mean", "moving_variance")


def keras_network(
    network: Network, weights: WeightArrays, temperature: float | None, *, preprocessing: bool = True
) -> keras.Model:
    """Return a model with the names and the weights of the network's layers.

    With `preprocessing` it takes pixels (batch, size, size, channels), 0 to 255, RGB or gray, uint8 or float; without,
    what follows the preprocessing: float32 in the network's own channel order. Its output are probabilities (batch,
    classes), after division by `temperature`, or if that is None the output of the last layer.
    """
    inputs = x = keras.Input(network.input_shape, name="pixels" if preprocessing else "normalized")
    if preprocessing:
        x = _normalize(network.preprocessing, x)
    for layer in network.layers:
        x = _apply(layer, x)
    if temperature is not None:
        if temperature != 1:
            x = layers.Rescaling(1 / temperature, name="temperature")(x)
        x = layers.Softmax(name="probabilities")(x)
    model = keras.Model(inputs, x, name=network.name)
    for name in network.weighted_layers():
        order = [key for key in ("kernel", "bias", *STATISTICS_AND_SCALES) if f"{name}/{key}" in weights]
        model.get_layer(name).set_weights([weights[f"{name}/{key}"] for key in order])
    return model


def _normalize(preprocessing: Preprocessing, x: Any) -> Any:
    if preprocessing.channel_order == "BGR":
        x = ops.flip(x, axis=-1)
    variance = [deviation**2 for deviation in preprocessing.std]
    return layers.Normalization(mean=list(preprocessing.mean), variance=variance, name="normalization")(x)


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
