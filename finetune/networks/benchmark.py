"""Measure how fast a network runs on this machine, in the units that benchmarks usually report.

As in TensorFlow's tutorials/image/alexnet/alexnet_benchmark.py: batches of random pixels and random weights, of which
the first do not count; forward, then forward with the gradient of half the sum of the squared outputs with respect to
all weights, without an optimizer.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
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

LOGGED = 10  # one of so many batches has a line in the log
BURN_IN = 10  # batches that do not count, as in alexnet_benchmark.py
MATRIX_SIDE = 2048  # a product takes 0.05 s on two cores, and the rate is no lower than at 4096
MATRIX_PRODUCTS = 10  # the fastest counts, since it serves as an upper limit

logger = logging.getLogger(__name__)

Batch = NDArray[np.uint8]


@dataclass(frozen=True)
class Timing:
    """Mean and standard deviation of the milliseconds per batch, and the rates that follow from the mean.

    `gflops` are 10⁹ operations per second: 2 for every multiply-add of a convolution or fully connected layer; a
    backward pass counts as two forward passes.
    """

    ms_mean: float
    ms_std: float
    images_per_second: float
    gflops: float


@dataclass(frozen=True)
class Benchmark:
    """The measurements. `precision`: of the forward pass. `matmul_gflops`: rate of a matrix product in it."""

    network: str
    batch_size: int
    precision: Precision
    matmul_gflops: float
    forward: Timing
    forward_backward: Timing

    def to_json(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return asdict(self)


def benchmark(
    network: Network,
    batch_size: int = 32,
    batches: int = 100,
    precision: PrecisionOption = "float32",
    from_files: Path | None = None,
) -> Benchmark:
    """Measure `network` with random weights over `batches` batches, after BURN_IN batches that do not count.

    The gradient is computed in float32 unless `precision` is "bfloat16". With `from_files`, the batches are decoded
    from the images in that folder, in turn, and the time for decoding counts.
    Raises DataError if the folder has no images or one that cannot be read.
    """
    files = _files(from_files) if from_files else None
    resolved = resolve_precision(precision)
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=0)
    operations = 2 * batch_size * sum(step.layer.multiply_adds(step.input_shape) for step in network.steps())

    def measure(what: str, run: Callable[[Batch], object], operations: int) -> Timing:
        seconds = _seconds(what, run, _input_batches(network, batch_size, BURN_IN + batches, files), batches)
        return timing(seconds, batch_size, operations)

    run = Compiled(network.layers, weights, network.preprocessing, resolved, sizes=(batch_size,))  # not padded to more
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
    """Return mean, standard deviation and rates, given the seconds of every batch and the operations of one batch."""
    mean = fmean(seconds)
    return Timing(1000 * mean, 1000 * pstdev(seconds), batch_size / mean, operations / mean / 1e9)


def matmul_gflops(precision: Precision) -> float:
    """Return the rate of the fastest of several products of square matrices, in 10⁹ operations per second."""
    side = MATRIX_SIDE
    matrix = tf.cast(tf.random.stateless_normal((side, side), seed=(0, 0)), precision)
    corner = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0])  # fetching one value waits for a GPU to finish
    corner().numpy()
    best = min(_elapsed(lambda: corner().numpy()) for _ in range(MATRIX_PRODUCTS))
    return 2 * side**3 / best / 1e9


def forward_backward(network: Network, weights: Arrays, precision: Precision) -> Callable[[Batch], object]:
    """Return a function that computes the gradients of all weights for a batch, as a training step does."""
    variables = {name: tf.Variable(tf.cast(value, precision)) for name, value in weights.items()}
    trained = network.weighted_layers()
    sources = [variable for name, variable in variables.items() if not name.endswith(STATISTICS)]

    @tf.function(autograph=False)
    def compute(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        x = tf.cast(normalize(network.preprocessing, pixels), precision)
        with tf.GradientTape() as tape:
            outputs = forward(network.layers, variables, x, seed=seed, trained=trained, many=True)
            objective = tf.nn.l2_loss(outputs)
        # One value of each gradient, since TensorFlow does not compute results that are not fetched.
        return tf.add_n([tf.reshape(gradient, [-1])[0] for gradient in tape.gradient(objective, sources)])

    seed = tf.constant(0, tf.int64)
    return lambda pixels: compute(tf.constant(pixels), seed).numpy()


def _files(folder: Path) -> list[Path]:
    files = list(image_files(folder))
    if not files:
        raise DataError(f"{folder} has no images; name a folder of images, or omit --from-files")
    return files


def _input_batches(network: Network, batch_size: int, count: int, files: list[Path] | None) -> Iterator[Batch]:
    """Yield `count` batches of network input: decoded from the files in turn, or the same random pixels each time."""
    if files is None:
        shape = (batch_size, *network.input_shape)
        yield from repeat(np.random.default_rng(0).integers(0, 256, shape, np.uint8), count)
        return

    def read(path: Path) -> Image:
        pixels = read_input(path, network.preprocessing)
        if isinstance(pixels, ImageError):
            raise DataError(f"{path} cannot be read: {pixels}; remove it from the folder")
        return pixels

    inputs = parallel_map(read, islice(cycle(files), count * batch_size))
    while batch := list(islice(inputs, batch_size)):
        yield np.stack(batch)


def _seconds(what: str, run: Callable[[Batch], object], inputs: Iterator[Batch], batches: int) -> list[float]:
    """Return the seconds of every batch that counts, including its input; log every tenth, as alexnet_benchmark.py."""
    seconds = []
    for number in track(range(-BURN_IN, batches), BURN_IN + batches, what, "batches"):
        seconds.append(_elapsed(lambda: run(next(inputs))))
        if number >= 0 and number % LOGGED == 0:
            logger.debug("%s: %s, step %d, duration = %.3f", datetime.now(), what, number, seconds[-1])
    return seconds[BURN_IN:]


def _elapsed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
