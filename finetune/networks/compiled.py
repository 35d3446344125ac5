"""A network compiled to run forward: its weights as constants in a given precision, its graph traced once."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.choices import Precision
from finetune.data.preprocessing import Preprocessing
from finetune.networks.forward import TRANSPOSED, Weights, activations, normalize
from finetune.networks.layers import Dense, Layer
from finetune.system.mapped import PIECE, release

BATCH_SIZE = 32  # larger batches are no faster on CPUs and take more memory
ALIGNMENT = 64  # bytes: TensorFlow takes over an array without a copy if its address is a multiple of this


class Compiled:
    """`layers` as a function from a batch of pixels (batch, size, size, channels) uint8 to their output in float32.

    `names`: the layers whose outputs are computed, in one pass; by default only the last.
    It is prepared on first use, for many images: normalisation is compiled, fully connected kernels are transposed, and
    a short batch is padded to the next of `sizes` (batches, ascending), so that nothing is compiled again for it.
    `numpy_forward.py` is for a few.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        weights: Weights,
        preprocessing: Preprocessing,
        precision: Precision = "float32",
        names: Sequence[str] = (),
        sizes: Sequence[int] = (BATCH_SIZE,),
    ) -> None:
        self._layers = layers
        self._names = names or [layers[-1].name]
        self._weights = weights
        self._preprocessing = preprocessing
        self._precision = precision
        self._sizes = sizes

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the output of the last layer for a batch."""
        return self.outputs(pixels)[self._layers[-1].name]

    def outputs(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the output of each of `names` for a batch."""
        count = len(pixels)
        missing = max(0, next((size for size in self._sizes if size >= count), count) - count)
        if missing:
            pixels = np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), np.uint8)])
        computed = self._compute(tf.constant(pixels))
        return {name: computed[name].numpy()[:count] for name in self._names}

    @cached_property
    def _compute(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        constants = prepare(self._layers, self._weights, self._precision)
        size = self._preprocessing.size

        # Without autograph, which rewrites all of `forward` first and took half of the time of tracing. The constants
        # are arguments, since TensorFlow never frees a graph that has a custom gradient, and what it captures with it.
        @tf.function(
            input_signature=[
                tf.TensorSpec((None, size, size, self._preprocessing.channels), tf.uint8),
                {name: tf.TensorSpec(value.shape, value.dtype) for name, value in constants.items()},
            ],
            autograph=False,
        )
        def compute(pixels: tf.Tensor, constants: Weights) -> dict[str, tf.Tensor]:
            x = tf.cast(normalize(self._preprocessing, pixels), self._precision)
            computed = activations(self._layers, constants, x, many=True)
            return {name: tf.cast(y, tf.float32) for name, y in computed if name in self._names}

        return lambda pixels: compute(pixels, constants)


def prepare(layers: Sequence[Layer], weights: Weights, precision: Precision) -> dict[str, tf.Tensor]:
    """Return the weights of the layers as constants, with fully connected kernels transposed."""
    constants = {}
    for layer in layers:
        # Logits stay in float32: they are cheap, and in bfloat16 more photos got another class (1.0 instead of 0.8 %).
        is_logits = isinstance(layer, Dense) and not layer.relu
        for name in (name for name in weights if name.startswith(f"{layer.name}/")):
            dtype = "float32" if is_logits else precision
            if isinstance(layer, Dense) and name.endswith("/kernel"):
                constants[f"{layer.name}/{TRANSPOSED}"] = _transposed(weights[name], dtype)
            else:
                constants[name] = tf.cast(tf.constant(weights[name]), dtype)
                release(weights[name])  # the constant is a copy, so the pages of the mapped file are not needed
    return constants


def _transposed(kernel: Any, precision: Precision) -> tf.Tensor:
    """Return a kernel (inputs, units) as (units, inputs), transposed piece by piece so that memory holds it only once.

    The memory is NumPy's, which returns to the system with the tensor; TensorFlow would keep its own. The tensor takes
    it over as integers of the same size, since NumPy has no bfloat16.
    """
    dtype = tf.as_dtype(precision)
    memory = np.empty(kernel.size * dtype.size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    bits = memory[start : start + kernel.size * dtype.size].view(f"u{dtype.size}").reshape(kernel.shape[::-1])
    step = max(1, PIECE // max(1, kernel[0].nbytes))
    for row in range(0, len(kernel), step):
        piece = tf.cast(tf.constant(kernel[row : row + step]), precision)
        bits[:, row : row + step] = tf.transpose(piece).numpy().view(bits.dtype)
        release(kernel)
    return tf.bitcast(tf.experimental.dlpack.from_dlpack(bits.__dlpack__()), precision)
