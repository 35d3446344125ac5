"""Compute a network with NumPy alone: the reference to read, and the quickest way to predict a few images.

It computes what `forward.py` does for images that nothing is trained on: no dropout, and batch norm with its running
statistics. Everything is float32. In the shapes, n is the number of images.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
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
    Relu,
    padding_of,
    window_averages,
)
from finetune.networks.network import Network
from finetune.system.mapped import PIECE
from finetune.system.parallel import parallel_map

Values = NDArray[np.float32]
WeightArrays = Mapping[str, Values]

# Up to so many multiply-adds are computed with NumPy: 69 images with AlexNet, 151 with the starter, 3 with VGG16. It
# takes 0.3 to 0.9 of the time of importing TensorFlow, compiling and computing the same (benchmarks/README.md).
NUMPY_MULTIPLY_ADDS = 50e9
MOST_WITH_NUMPY = 256  # images, since all of them are read before the first is computed


def most_images(network: Network, crops: int = 1) -> int:
    """Return how many images, each with so many crops, are few enough to be computed with NumPy."""
    one = crops * sum(step.layer.multiply_adds(step.input_shape) for step in network.steps())
    return min(MOST_WITH_NUMPY, int(NUMPY_MULTIPLY_ADDS / one))


def outputs(
    layers: Sequence[Layer],
    weights: WeightArrays,
    preprocessing: Preprocessing,
    pixels: NDArray[np.uint8],
    names: Sequence[str],
) -> dict[str, Values]:
    """Return the output of the layers `names` for a batch of pixels (n, size, size, channels), as `Compiled` does.

    Every core computes one image at a time, so memory holds few windows. BLAS's own threads would wait for each other
    where another process uses a core, which took up to six times as long.
    """
    from threadpoolctl import threadpool_limits

    def output(image: NDArray[np.uint8]) -> dict[str, Values]:
        computed = activations(layers, weights, preprocessing.normalize(image[np.newaxis]))
        return {name: y[0] for name, y in computed if name in names}

    with threadpool_limits(limits=1, user_api="blas"):
        images = list(parallel_map(output, pixels))
    return {name: np.stack([image[name] for image in images]) for name in names}


def activations(layers: Iterable[Layer], weights: WeightArrays, x: Values) -> Iterator[tuple[str, Values]]:
    """Yield the name and the output of every layer in forward order for a batch x (n, height, width, channels).

    `weights`: `layer/weight` -> array. Raises KeyError for a weight that is missing.
    """
    for layer in layers:
        match layer:
            case Conv():
                x = _conv(layer, weights, x)
            case LocalResponseNorm():
                x = _local_response_norm(layer, x)
            case MaxPool():
                x = _max_pool(layer, x)
            case AdaptiveAveragePool():
                x = _adaptive_average_pool(layer, x)
            case BatchNorm():
                x = _batch_norm(layer, weights, x)
            case Dense():
                x = _dense(layer, weights, x)
            case Relu():
                x = np.maximum(x, 0)
            case Dropout():
                pass  # only in training
            case _:
                raise TypeError(f"unknown layer: {layer!r}")
        yield layer.name, x


def _conv(layer: Conv, weights: WeightArrays, x: Values) -> Values:
    size, inputs = layer.kernel_size, x.shape[3] // layer.groups  # every group of filters reads its own channels
    kernels = np.split(weights[f"{layer.name}/kernel"], layer.groups, axis=3)
    windows = _windows(x, size, layer.strides, layer.padding, border=0)  # (n, height, width, size, size, channels)
    outputs = []
    for group, kernel in enumerate(kernels):  # (size, size, inputs, filters / groups)
        # A window becomes a row, "im2col": (n · height · width, size · size · inputs). Only this copies pixels.
        rows = windows[..., group * inputs : (group + 1) * inputs].reshape(-1, size * size * inputs)
        outputs.append(rows @ kernel.reshape(size * size * inputs, -1))  # (n · height · width, filters / groups)
    y = np.concatenate(outputs, axis=1).reshape(*windows.shape[:3], layer.filters)
    y = y + weights[f"{layer.name}/bias"]
    return np.maximum(y, 0) if layer.relu else y


def _max_pool(layer: MaxPool, x: Values) -> Values:
    # No pixel of the border is ever the largest.
    windows = _windows(x, layer.pool_size, layer.strides, layer.padding, border=-np.inf)
    largest: Values = windows.max(axis=(3, 4))  # (n, height, width, channels)
    return largest


def _windows(x: Values, size: int, strides: int, padding: str | int, border: float) -> Values:
    """Return the windows of a padded batch as a view, (n, height, width, size, size, channels)."""
    sides = [padding_of(side, size, strides, padding) for side in x.shape[1:3]]
    x = np.pad(x, [(0, 0), *sides, (0, 0)], constant_values=border)
    every = sliding_window_view(x, (size, size), axis=(1, 2))  # (n, height, width, channels, size, size), 1 pixel apart
    return every[:, ::strides, ::strides].transpose(0, 1, 2, 4, 5, 3)


def _local_response_norm(layer: LocalResponseNorm, x: Values) -> Values:
    channels, radius = x.shape[3], layer.size // 2
    squares = np.pad(x * x, [(0, 0), (0, 0), (0, 0), (radius, radius)])  # (n, height, width, channels + 2 radius)
    sums = np.zeros_like(x)
    for shift in range(2 * radius + 1):
        sums += squares[..., shift : shift + channels]
    normalized: Values = x * (layer.k + layer.alpha / layer.size * sums) ** -layer.beta
    return normalized


def _adaptive_average_pool(layer: AdaptiveAveragePool, x: Values) -> Values:
    rows, columns = (window_averages(side, layer.size) for side in x.shape[1:3])  # (size, height), (size, width)
    means: Values = np.einsum("ih,jw,nhwc->nijc", rows, columns, x, optimize=True)
    return means


def _batch_norm(layer: BatchNorm, weights: WeightArrays, x: Values) -> Values:
    gamma, beta, mean, variance = (
        weights[f"{layer.name}/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return (x - mean) * (gamma / np.sqrt(variance + layer.epsilon)) + beta


def _dense(layer: Dense, weights: WeightArrays, x: Values) -> Values:
    x = x.reshape(len(x), -1)  # (n, height · width · channels), row by row
    y = _product(x, weights[f"{layer.name}/kernel"]) + weights[f"{layer.name}/bias"]  # (n, units)
    return np.maximum(y, 0) if layer.relu else y


def _product(x: Values, kernel: Values) -> Values:
    """Return x @ kernel. NumPy copies a kernel that is not aligned, as in a pickle, so it is taken piece by piece."""
    if kernel.flags.aligned:
        return x @ kernel
    product = np.zeros((len(x), kernel.shape[1]), np.float32)
    step = max(1, PIECE // kernel[0].nbytes)
    for start in range(0, len(kernel), step):
        product += x[:, start : start + step] @ kernel[start : start + step]
    return product
