"""How fast a network runs on this machine, counted the way the field prints it.

As in TensorFlow's tutorials/image/alexnet/alexnet_benchmark.py: batches of random pixels and random weights, the first
ones not counted, forward and then forward with the gradient of half the sum of the squared outputs with respect to
all weights, without an optimizer.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice, repeat
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.choices import Precision, PrecisionOption
from finetune.data.channels import Image
from finetune.data.folder import image_files
from finetune.data.images import read_input
from finetune.errors import DataError, ImageError
from finetune.networks.compiled import Compiled
from finetune.networks.forward import forward, normalize
from finetune.networks.initialize import Arrays, fresh_weights
from finetune.networks.layers import STATISTICS
from finetune.networks.network import Network
from finetune.networks.precision import resolve_precision
from finetune.system.parallel import parallel_map
from finetune.system.progress import track

BURN_IN = 10  # batches not counted, as in alexnet_benchmark.py
MATRIX_SIDE = 2048  # a product takes 0.05 s on two cores and is no slower a rate than at 4096
MATRIX_PRODUCTS = 10  # of which the best counts: it is meant as a ceiling

Batch = NDArray[np.uint8]


@dataclass(frozen=True)
class Timing:
    """One kind of pass: mean and standard deviation of a batch in milliseconds, and the rates that follow.

    `gflops` are 10⁹ operations a second: 2 for every multiply-add of a convolution or fully connected layer, and for
    the backward pass twice those of the forward pass.
    """

    ms_mean: float
    ms_std: float
    images_per_second: float
    gflops: float


@dataclass(frozen=True)
class Benchmark:
    """What was measured. `precision` is the forward pass's; `matmul_gflops` is what a matrix product reaches in it."""

    network: str
    batch_size: int
    precision: Precision
    matmul_gflops: float
    forward: Timing
    forward_backward: Timing

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON knows them."""
        return asdict(self)


def benchmark(
    network: Network,
    batch_size: int = 32,
    batches: int = 100,
    precision: PrecisionOption = "float32",
    from_files: Path | None = None,
) -> Benchmark:
    """Measure `network` with random weights over `batches` batches, after BURN_IN that do not count.

    The gradient is taken in float32 unless `precision` is "bfloat16". With `from_files` the batches are decoded from
    the pictures in a folder, again and again, and the time for that counts.
    Raises DataError when the folder has no pictures or one that cannot be read.
    """
    files = _files(from_files) if from_files else None
    resolved = resolve_precision(precision)
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=0)
    operations = 2 * batch_size * sum(step.layer.multiply_adds(step.input_shape) for step in network.steps())

    def measure(what: str, run: Callable[[Batch], object], operations: int) -> Timing:
        seconds = _seconds(what, run, _inputs(network, batch_size, BURN_IN + batches, files), batches)
        return timing(seconds, batch_size, operations)

    run = Compiled(network.layers, weights, network.preprocessing, resolved)
    return Benchmark(
        network.name,
        batch_size,
        resolved,
        matmul_gflops(resolved),
        measure("forward", run, operations),
        measure(
            "forward-backward",
            forward_backward(network, weights, "bfloat16" if precision == "bfloat16" else "float32"),
            3 * operations,
        ),
    )


def timing(seconds: list[float], batch_size: int, operations: int) -> Timing:
    """Return mean, deviation and rates from the seconds of every batch and the operations of one."""
    mean = fmean(seconds)
    return Timing(1000 * mean, 1000 * pstdev(seconds), batch_size / mean, operations / mean / 1e9)


def matmul_gflops(precision: Precision) -> float:
    """Return the best of some products of two square matrices, in 10⁹ operations a second."""
    side = MATRIX_SIDE
    matrix = tf.cast(tf.random.stateless_normal((side, side), seed=(0, 0)), precision)
    corner = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0])  # fetching it waits for a GPU to finish
    corner().numpy()
    best = min(_elapsed(lambda: corner().numpy()) for _ in range(MATRIX_PRODUCTS))
    return 2 * side**3 / best / 1e9


def forward_backward(network: Network, weights: Arrays, precision: Precision) -> Callable[[Batch], object]:
    """Return the function that computes the gradients of all weights for a batch, as a step of training does."""
    variables = {name: tf.Variable(tf.cast(value, precision)) for name, value in weights.items()}
    trained = network.weighted_layers()
    sources = [variable for name, variable in variables.items() if not name.endswith(STATISTICS)]

    @tf.function(autograph=False)
    def compute(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        x = tf.cast(normalize(network.preprocessing, pixels), precision)
        with tf.GradientTape() as tape:
            outputs = forward(network.layers, variables, x, seed=seed, trained=trained, many=True)
            objective = tf.nn.l2_loss(outputs)
        # One value of each: TensorFlow leaves out what nobody fetches, and fetching waits for a GPU to finish.
        return tf.add_n([tf.reshape(gradient, [-1])[0] for gradient in tape.gradient(objective, sources)])

    seed = tf.constant(0, tf.int64)
    return lambda pixels: compute(tf.constant(pixels), seed).numpy()


def _files(folder: Path) -> list[Path]:
    files = list(image_files(folder))
    if not files:
        raise DataError(f"{folder} has no pictures; name a folder with some, or leave out --from-files")
    return files


def _inputs(network: Network, batch_size: int, count: int, files: list[Path] | None) -> Iterator[Batch]:
    """Yield `count` batches of network input: from the files in turn, or one of random pixels every time."""
    if files is None:
        shape = (batch_size, *network.input_shape)
        yield from repeat(np.random.default_rng(0).integers(0, 256, shape, np.uint8), count)
        return

    def read(path: Path) -> Image:
        image = read_input(path, network.preprocessing)
        if isinstance(image, ImageError):
            raise DataError(f"{path} cannot be read: {image}; take it out of the folder")
        return image

    images = parallel_map(read, islice(cycle(files), count * batch_size))
    while batch := list(islice(images, batch_size)):
        yield np.stack(batch)


def _seconds(what: str, run: Callable[[Batch], object], inputs: Iterator[Batch], batches: int) -> list[float]:
    """Return the seconds of every batch that counts, its input included."""
    numbers = track(range(BURN_IN + batches), BURN_IN + batches, what, "batches")
    return [_elapsed(lambda: run(next(inputs))) for _ in numbers][BURN_IN:]


def _elapsed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
