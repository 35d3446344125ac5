"""A network made ready to run forward: weights as constants, traced once, in the precision that was asked for."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.choices import Precision
from finetune.data.preprocessing import Preprocessing
from finetune.networks.forward import TRANSPOSED, Weights, forward, normalize
from finetune.networks.layers import Dense, Layer
from finetune.system.mapped import PIECE, release

BATCH_SIZE = 32  # larger is no faster on CPUs and takes memory
FEW = 16  # up to so many images, preparing for many does not pay
ALIGNMENT = 64  # bytes: an array that begins at a multiple of it becomes a tensor without a copy


class Compiled:
    """`layers` as a function of a batch of input pixels (batch, size, size, channels) uint8; what comes is float32.

    For many images it is prepared in another way than for a few: normalisation is compiled, fully connected kernels
    are transposed, and a batch is filled up to BATCH_SIZE, so that nothing is compiled again for a last, shorter one.
    Both ways are made on first use and give the same numbers, to rounding.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        weights: Weights,
        preprocessing: Preprocessing,
        precision: Precision = "float32",
    ) -> None:
        self._layers = layers
        self._weights = weights
        self._preprocessing = preprocessing
        self._precision = precision
        self._traced = cache(self._trace)

    def __call__(self, pixels: NDArray[np.uint8], many: bool | None = None) -> NDArray[np.float32]:
        """Return the output for a batch; `many` says how it is prepared, by its own length unless told."""
        count = len(pixels)
        if many is None:
            many = count > FEW
        missing = max(0, BATCH_SIZE - count) if many else 0
        if missing:
            pixels = np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), np.uint8)])
        return self._traced(many)(tf.constant(pixels)).numpy()[:count]

    def _trace(self, many: bool) -> Callable[[tf.Tensor], tf.Tensor]:
        constants = prepare(self._layers, self._weights, self._precision, many)
        size = self._preprocessing.size

        # Without autograph, which would rewrite all of `forward` first: it took half of the time of tracing. Constants
        # are passed in, not captured: TensorFlow never lets go of a graph with a gradient of our own, as in norm1.
        @tf.function(
            input_signature=[
                tf.TensorSpec((None, size, size, self._preprocessing.channels), tf.uint8),
                {name: tf.TensorSpec(value.shape, value.dtype) for name, value in constants.items()},
            ],
            autograph=False,
        )
        def compute(pixels: tf.Tensor, constants: Weights) -> tf.Tensor:
            x = tf.cast(normalize(self._preprocessing, pixels), self._precision)
            return tf.cast(forward(self._layers, constants, x, many=many), tf.float32)

        return lambda pixels: compute(pixels, constants)


def prepare(layers: Sequence[Layer], weights: Weights, precision: Precision, many: bool) -> dict[str, tf.Tensor]:
    """Return the layers' weights as constants in the precision, fully connected kernels transposed for `many`."""
    constants = {}
    for layer in layers:
        # Logits are cheap, and the one place where bfloat16 cost agreement on the first class: 99.0 %, so 99.2 %.
        is_logits = isinstance(layer, Dense) and not layer.relu
        for name in (name for name in weights if name.startswith(f"{layer.name}/")):
            own = "float32" if is_logits else precision
            if many and isinstance(layer, Dense) and name.endswith("/kernel"):
                constants[f"{layer.name}/{TRANSPOSED}"] = _transposed(weights[name], own)
            else:
                constants[name] = tf.cast(tf.constant(weights[name]), own)
                release(weights[name])  # the constant is a copy, and the mapped file would count beside it
    return constants


def _transposed(kernel: Any, precision: Precision) -> tf.Tensor:
    """Return a kernel (inputs, units) as (units, inputs), made piece by piece: never is it in memory twice.

    The memory is NumPy's, which goes back to the system with the tensor; TensorFlow's own would stay with the process.
    The tensor takes it over as bits, which have no type to disagree about.
    """
    dtype = tf.as_dtype(precision)
    memory = np.empty(kernel.size * dtype.size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    bits = memory[start : start + kernel.size * dtype.size].view(f"u{dtype.size}").reshape(kernel.shape[::-1])
    step = max(1, PIECE // max(1, kernel[0].nbytes))
    for place in range(0, len(kernel), step):
        piece = tf.cast(tf.constant(kernel[place : place + step]), precision)
        bits[:, place : place + step] = tf.transpose(piece).numpy().view(bits.dtype)
        release(kernel)
    return tf.bitcast(tf.experimental.dlpack.from_dlpack(bits.__dlpack__()), precision)
