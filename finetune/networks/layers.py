"""What the layers of a network are: their sizes, weights and cost. How they are computed stands in `forward.py`.

Shapes are (height, width, channels) of one image, or (units,) after a fully connected layer. Nothing here needs
TensorFlow, so that `finetune summary` and every error about shapes are instant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

Shape = tuple[int, ...]

# Weights that training by gradient never touches: batch norm's running statistics.
STATISTICS = ("moving_mean", "moving_variance")


@dataclass(frozen=True)
class Layer:
    """One named step of a network; by default it keeps the shape and owns no weights."""

    name: str

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that comes out when `shape` goes in."""
        return shape

    def weight_shapes(self, shape: Shape) -> Mapping[str, Shape]:
        """Return the layer's weights by name (`kernel`, `bias`, …) with their shapes."""
        return {}

    def multiply_adds(self, shape: Shape) -> int:
        """Return the multiply-adds for one image; only convolutions and fully connected layers count, as usual."""
        return 0


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution with bias, then ReLU.

    The kernel is (height, width, input channels / groups, filters). `padding` is "same", "valid" or a number of
    pixels on every side, as Caffe writes it.
    """

    filters: int
    kernel_size: int
    strides: int = 1
    padding: str | int = "valid"
    groups: int = 1

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height, width, filters)."""
        height, width, _ = shape
        outputs = (_windows(side, self.kernel_size, self.strides, self.padding) for side in (height, width))
        return (*outputs, self.filters)

    def weight_shapes(self, shape: Shape) -> Mapping[str, Shape]:
        """Return `kernel` and `bias`, one value of bias a filter."""
        kernel = (self.kernel_size, self.kernel_size, shape[2] // self.groups, self.filters)
        return {"kernel": kernel, "bias": (self.filters,)}

    def multiply_adds(self, shape: Shape) -> int:
        """Return the kernel's size times the positions it is laid on."""
        return prod(self.weight_shapes(shape)["kernel"]) * prod(self.output_shape(shape)[:2])


@dataclass(frozen=True)
class MaxPool(Layer):
    """Largest value of each window; those that would leave the image are left out ("valid") or cut off ("same")."""

    pool_size: int
    strides: int
    padding: str = "valid"

    def output_shape(self, shape: Shape) -> Shape:
        """Return (height, width, channels), as many channels as came in."""
        height, width, channels = shape
        outputs = (_windows(side, self.pool_size, self.strides, self.padding) for side in (height, width))
        return (*outputs, channels)


@dataclass(frozen=True)
class AdaptiveAveragePool(Layer):
    """Mean of each of `size` × `size` windows that cover the image, whatever its size.

    Window i of a side of n pixels reaches from floor(i n / size) to ceil((i + 1) n / size), as in PyTorch.
    """

    size: int

    def output_shape(self, shape: Shape) -> Shape:
        """Return (size, size, channels), as many channels as came in."""
        return (self.size, self.size, shape[2])


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
        """Return scale and shift, then the running statistics, each with one value a channel."""
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
        """Return the kernel's size."""
        return prod(shape) * self.units


@dataclass(frozen=True)
class Dropout(Layer):
    """While training, sets each value to 0 with probability `rate` and scales the rest by 1 / (1 - rate)."""

    rate: float = 0.5


def _windows(side: int, size: int, strides: int, padding: str | int) -> int:
    """Return how many windows of `size` pixels, `strides` apart, lie along a side of the image."""
    if padding == "same":
        return -(-side // strides)
    pad = 0 if padding == "valid" else int(padding)
    return (side + 2 * pad - size) // strides + 1
