"""The network from pixels to probabilities, in operations that TensorFlow's own exporters support."""

import tensorflow as tf

from finetune.model import Model
from finetune.networks.forward import Weights, forward, normalize
from finetune.networks.layers import LocalResponseNorm


def probabilities(model: Model, weights: Weights, pixels: tf.Tensor) -> tf.Tensor:
    """Return the probabilities (batch, classes) for pixels (batch, size, size, channels), 0 to 255, RGB or gray."""
    preprocessing = model.network.preprocessing
    if preprocessing.channel_order == "BGR":
        pixels = tf.reverse(pixels, [3])
    x = normalize(preprocessing, pixels)
    for layer in model.network.layers:
        if isinstance(layer, LocalResponseNorm):
            # A single operation, which LiteRT supports and keeps in float32 when the rest becomes int8.
            x = tf.nn.local_response_normalization(x, layer.size // 2, layer.k, layer.alpha / layer.size, layer.beta)
        else:
            x = forward([layer], weights, x)
    return tf.nn.softmax(x if model.temperature == 1 else x / model.temperature)
