"""The kinds of layers: their options, shapes, weights and cost; `forward.py` and `numpy_forward.py` compute them.

Shapes are (height, width, channels) of one image, or (units,) after a fully connected layer. Nothing here needs
TensorFlow, so `finetune summary` and every error about shapes are instant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

# Weights that gradients never change: batch norm's running statistics.
STATISTICS = ("moving_mean", "moving_variance")


@dataclass(frozen=True)
class Layer:
    """A named layer of a network; by default it keeps the shape and has no weights."""

    name: str

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the output for an input of `shape`."""
        return shape

    def weight_shapes(self, shape: Shape) -> Mapping[str, Shape]:
        """Return the layer's weights by name (`kernel`, `bias`, …) with their shapes."""
        return {}

    def multiply_adds(self, shape: Shape) -> int:
        """Return the multiply-adds for one image; as usual, only convolutions and fully connected layers count."""
        return 0

    def inputs_of(self, first: int, last: int, shape: Shape) -> tuple[int, int]:
        """Return the first and the last input, along a side of `shape`, that the outputs from `first` to `last` use.

        Those in the padding count: they are below 0, or the side or more.
        """
        return first, last


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution with bias, then ReLU unless `relu` is off.

    The kernel is (height, width, input channels / groups, filters). `padding` is "same", "valid" or a number of
    pixels on every side, as Caffe writes it.
    """

    filters: int
    kernel_size: int
    strides: int = 1
    padding: str | int = "valid"
    groups: int = 1
    relu: bool = True

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height, width, filters)."""
        height, width, _ = shape
        outputs = (_windows(side, self.kernel_size, self.strides, self.padding) for side in (height, width))
        return (*outputs, self.filters)

    def weight_shapes(self, shape: Shape) -> Mapping[str, Shape]:
        """Return `kernel`, and `bias` with one value per filter."""
        kernel = (self.kernel_size, self.kernel_size, shape[2] // self.groups, self.filters)
        return {"kernel": kernel, "bias": (self.filters,)}

    def multiply_adds(self, shape: Shape) -> int:
        """Return the size of the kernel times the number of positions it is applied at."""
        return prod(self.weight_shapes(shape)["kernel"]) * prod(self.output_shape(shape)[:2])

    def inputs_of(self, first: int, last: int, shape: Shape) -> tuple[int, int]:
        """Return the ends of the windows of the outputs."""
        return _inputs_of(first, last, shape[0], self.kernel_size, self.strides, self.padding)


@dataclass(frozen=True)
class MaxPool(Layer):
    """Largest value of each window; windows that reach over the edge are dropped ("valid") or cut off ("same")."""

    pool_size: int
    strides: int
    padding: str = "valid"

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height, width, channels), with the channels of the input."""
        height, width, channels = shape
        outputs = (_windows(side, self.pool_size, self.strides, self.padding) for side in (height, width))
        return (*outputs, channels)

    def inputs_of(self, first: int, last: int, shape: Shape) -> tuple[int, int]:
        """Return the ends of the windows of the outputs."""
        return _inputs_of(first, last, shape[0], self.pool_size, self.strides, self.padding)


@dataclass(frozen=True)
class AdaptiveAveragePool(Layer):
    """Mean of each of `size` × `size` windows that cover an image of any size.

    Window i along a side of n pixels extends from floor(i n / size) to ceil((i + 1) n / size), as in PyTorch.
    """

    size: int

    def output_shape(self, shape: Shape) -> Shape:
        """Return (size, size, channels), with the channels of the input."""
        return (self.size, self.size, shape[2])

    def inputs_of(self, first: int, last: int, shape: Shape) -> tuple[int, int]:
        """Return the ends of the windows of the outputs."""
        return first * shape[0] // self.size, -(-(last + 1) * shape[0] // self.size) - 1


@cache
def window_averages(side: int, size: int) -> NDArray[np.float32]:
    """Return the (size, side) matrix whose product with one side of an image is the mean of every window."""
    matrix = np.zeros((size, side), np.float32)
    for i in range(size):
        start, end = i * side // size, -(-(i + 1) * side // size)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """Local response normalisation across channels: x / (k + alpha / size · Σ x²)^beta over `size` channels.

    Krizhevsky et al. 2012, section 3.3, in Caffe's form, which divides alpha by the size.
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation over all but the channels (Ioffe and Szegedy 2015)."""

    momentum: float = 0.99
    epsilon: float = 1e-3

    def weight_shapes(self, shape: Shape) -> Mapping[str, Shape]:
        """Return scale and shift, then the running statistics, each with one value per channel."""
        return dict.fromkeys(("gamma", "beta", *STATISTICS), (shape[-1],))


@dataclass(frozen=True)
class Dense(Layer):
    """Fully connected layer with bias, then ReLU unless `relu` is off; an image is flattened row by row first."""

    units: int
    relu: bool = True

    def output_shape(self, shape: Shape) -> Shape:
        """Return (units,)."""
        return (self.units,)

    def weight_shapes(self, shape: Shape) -> Mapping[str, Shape]:
        """Return `kernel`, (inputs, units), and `bias`."""
        return {"kernel": (prod(shape), self.units), "bias": (self.units,)}

    def multiply_adds(self, shape: Shape) -> int:
        """Return the size of the kernel."""
        return prod(shape) * self.units

    def inputs_of(self, first: int, last: int, shape: Shape) -> tuple[int, int]:
        """Return all of the side; another fully connected layer has only one place."""
        return 0, (shape[0] if len(shape) == 3 else 1) - 1


@dataclass(frozen=True)
class Relu(Layer):
    """max(x, 0), where it is a layer of its own: see `layer_outputs.py`."""


@dataclass(frozen=True)
class Dropout(Layer):
    """In training, sets each value to 0 with probability `rate` and scales the others by 1 / (1 - rate)."""

    rate: float = 0.5


def _windows(side: int, size: int, strides: int, padding: str | int) -> int:
    """Return how many windows of `size` pixels, `strides` apart, fit along a side of the image."""
    if padding == "same":
        return -(-side // strides)
    pad = 0 if padding == "valid" else int(padding)
    return (side + 2 * pad - size) // strides + 1


def padding_of(side: int, size: int, strides: int, padding: str | int) -> tuple[int, int]:
    """Return how many pixels are added before and after a side; for "same", an odd one is added after it."""
    if isinstance(padding, int):
        return padding, padding
    if padding == "valid":
        return 0, 0
    total = max(0, (_windows(side, size, strides, padding) - 1) * strides + size - side)
    return total // 2, total - total // 2


def _inputs_of(first: int, last: int, side: int, size: int, strides: int, padding: str | int) -> tuple[int, int]:
    """Return the first input in window `first` and the last in window `last`."""
    before, _ = padding_of(side, size, strides, padding)
    return first * strides - before, last * strides - before + size - 1
