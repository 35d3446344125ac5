"""Each kind of layer against its definition, worked out by hand or by plain NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from finetune.networks import NETWORKS, build
from finetune.networks.forward import activations, forward, normalize
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


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def run(layer: Layer, x, weights=None, **options) -> np.ndarray:
    """Return the output of one layer; `weights` has its weights by name, without the layer's."""
    named = {f"{layer.name}/{name}": value for name, value in (weights or {}).items()}
    return forward([layer], named, tf.constant(x, tf.float32), **options).numpy()


def row(*values: float) -> np.ndarray:
    """Return one image of one pixel with these channels."""
    return np.float32(values).reshape(1, 1, 1, -1)


# Convolution


def convolve(layer: Conv, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return convolution and ReLU by definition, filter by filter and position by position."""
    _, height, width, filters = (len(x), *layer.output_shape(x.shape[1:]))
    if layer.padding == "same":  # TensorFlow's: the odd pixel goes below and to the right
        totals = [
            max((outputs - 1) * layer.strides + layer.kernel_size - side, 0)
            for outputs, side in ((height, x.shape[1]), (width, x.shape[2]))
        ]
        padding = [(total // 2, total - total // 2) for total in totals]
    else:
        padding = [(0 if layer.padding == "valid" else layer.padding,) * 2] * 2
    x = np.pad(x.astype(np.float64), [(0, 0), *padding, (0, 0)])
    inputs = kernel.shape[2]
    y = np.zeros((len(x), height, width, filters))
    for f in range(filters):
        first = f // (filters // layer.groups) * inputs
        for i in range(height):
            for j in range(width):
                top, left = i * layer.strides, j * layer.strides
                window = x[:, top : top + layer.kernel_size, left : left + layer.kernel_size, first : first + inputs]
                y[:, i, j, f] = (window * kernel[..., f]).sum((1, 2, 3)) + bias[f]
    return np.maximum(y, 0)


@pytest.mark.parametrize(
    "layer",
    [
        Conv("c", 6, 3),
        Conv("c", 6, 3, strides=2, padding=1),
        Conv("c", 6, 5, padding=2, groups=2),
        Conv("c", 6, 3, padding="same", groups=2),
        Conv("c", 4, 5, strides=4, padding="same"),  # 1 row above and 2 below, 2 columns on the left and 2 on the right
        Conv("c", 8, 3, groups=4),
    ],
    ids=str,
)
def test_convolution_equals_its_definition(layer: Conv) -> None:
    x, bias = normal(2, 10, 9, 4), normal(layer.filters)
    kernel = normal(*layer.weight_shapes(x.shape[1:])["kernel"])
    np.testing.assert_allclose(
        run(layer, x, {"kernel": kernel, "bias": bias}), convolve(layer, x, kernel, bias), atol=1e-5
    )


def test_groups_see_their_own_channels() -> None:
    kernel = np.ones((1, 1, 2, 2), np.float32)
    y = run(Conv("c", 2, 1, groups=2), row(1, 2, 10, 20), {"kernel": kernel, "bias": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(y, row(3, 30))


def test_convolution_ends_in_relu() -> None:
    weights = {"kernel": np.ones((1, 1, 1, 2), np.float32), "bias": np.float32([-5, 5])}
    np.testing.assert_array_equal(run(Conv("c", 2, 1), row(3), weights), row(0, 8))


# Local response normalisation


def test_local_response_norm_by_hand() -> None:
    layer = LocalResponseNorm("n", size=3, alpha=3, beta=1, k=1)
    # Squares of the neighbours: 1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16; alpha / size is 1.
    np.testing.assert_allclose(run(layer, row(1, 2, 3, 4)), row(1 / 6, 2 / 15, 3 / 30, 4 / 26), rtol=1e-6)


@pytest.mark.parametrize(
    "layer", [LocalResponseNorm("n"), LocalResponseNorm("n", size=9, alpha=0.001), LocalResponseNorm("n", beta=0.6)]
)
def test_local_response_norm_equals_tensorflows(layer: LocalResponseNorm) -> None:
    x = 200 * normal(2, 5, 4, 96)  # as large as conv1's, where the norm is far from 1
    # TensorFlow's alpha is not divided by the number of channels.
    expected = tf.nn.local_response_normalization(x, layer.size // 2, layer.k, layer.alpha / layer.size, layer.beta)
    np.testing.assert_allclose(run(layer, x), expected, rtol=2e-5)
    assert np.abs(run(layer, x) / x).min() < 0.7


def test_book_norm_is_the_benchmarks_call() -> None:
    x = 200 * normal(1, 3, 3, 64)
    norm1 = next(layer for layer in build("alexnet-book").layers if layer.name == "norm1")
    np.testing.assert_allclose(
        run(norm1, x), tf.nn.lrn(x, 4, bias=1.0, alpha=0.001 / 9.0, beta=0.75), rtol=2e-5
    )  # the call as the books print it


# Pooling


def test_max_pool_drops_windows_that_reach_over_the_edge() -> None:
    x = np.arange(36.0).reshape(1, 6, 6, 1)
    np.testing.assert_array_equal(run(MaxPool("p", 3, 2), x)[0, ..., 0], [[14, 16], [26, 28]])


def test_max_pool_same_cuts_windows_off_at_the_edge() -> None:
    x = -1 - np.arange(9.0).reshape(1, 3, 3, 1)  # all negative: a border of zeros would win
    np.testing.assert_array_equal(run(MaxPool("p", 2, 2, padding="same"), x)[0, ..., 0], [[-1, -3], [-7, -9]])


@pytest.mark.parametrize(
    ("side", "size", "means"),
    [
        (5, 3, [0.5, 2, 3.5]),  # pixels 0–1, 1–3, 3–4
        (7, 6, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]),  # pairs
        (4, 6, [0, 0.5, 1, 2, 2.5, 3]),  # windows of one or two pixels
        (6, 6, [0, 1, 2, 3, 4, 5]),
        (4, 1, [1.5]),
    ],
)
def test_adaptive_average_pool_by_hand(side: int, size: int, means: list[float]) -> None:
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    y = run(AdaptiveAveragePool("a", size), np.stack([rows, columns], axis=-1)[None])
    np.testing.assert_allclose(y[0, ..., 0], np.tile(np.float32(means)[:, None], size), rtol=1e-6)
    np.testing.assert_allclose(y[0, ..., 1], np.tile(means, (size, 1)), rtol=1e-6)


def test_adaptive_average_pool_of_an_oblong_image() -> None:
    x = normal(2, 8, 6, 3)
    expected = x.reshape(2, 2, 4, 2, 3, 3).mean((2, 4))
    np.testing.assert_allclose(run(AdaptiveAveragePool("a", 2), x), expected, atol=1e-6)


# Batch norm


def batch_norm_weights() -> dict[str, tf.Variable]:
    values = {"gamma": (2, 3), "beta": (0.5, -1), "moving_mean": (1, -1), "moving_variance": (4, 9)}
    return {f"bn/{name}": tf.Variable(tf.constant(value, tf.float32)) for name, value in values.items()}


def test_batch_norm_uses_the_running_statistics_when_predicting() -> None:
    y = forward([BatchNorm("bn", epsilon=0.0)], batch_norm_weights(), tf.constant(row(5, 5)))
    np.testing.assert_allclose(y, row((5 - 1) / 2 * 2 + 0.5, (5 + 1) / 3 * 3 - 1), rtol=1e-6)


def test_batch_norm_uses_and_follows_the_batch_when_trained() -> None:
    weights = batch_norm_weights()
    x = np.float32([[0, 0], [4, 0], [8, 0]]).reshape(3, 1, 1, 2)  # means 4 and 0, variances 32/3 and 0
    y = forward([BatchNorm("bn", momentum=0.75)], weights, tf.constant(x), trained=("bn",))
    scale = 2 / np.sqrt(32 / 3 + 0.001)
    np.testing.assert_allclose(y[:, 0, 0], [[0.5 - 4 * scale, -1], [0.5, -1], [0.5 + 4 * scale, -1]], rtol=1e-6)
    np.testing.assert_allclose(weights["bn/moving_mean"], [0.75 * 1 + 0.25 * 4, 0.75 * -1])
    np.testing.assert_allclose(weights["bn/moving_variance"], [0.75 * 4 + 0.25 * 32 / 3, 0.75 * 9], rtol=1e-6)


def test_batch_norm_outside_the_trained_layers_never_moves() -> None:
    weights = batch_norm_weights()
    before = {name: value.numpy() for name, value in weights.items()}
    layers = [BatchNorm("bn", epsilon=0.0), Dropout("drop")]
    forward(layers, weights, tf.constant(normal(8, 2, 2, 2)), seed=tf.constant(0), trained=("conv1", "fc8"))
    for name, value in before.items():
        np.testing.assert_array_equal(weights[name], value)


# Fully connected layers


def test_dense_flattens_row_by_row_with_channels_last() -> None:
    x = np.arange(8.0).reshape(1, 2, 2, 2)  # height, width, channel
    weights = {"kernel": np.float32(10 ** np.arange(8))[:, None], "bias": np.float32([0])}
    assert run(Dense("fc6", 1), x, weights) == 76543210


def test_relu_of_dense_can_be_off() -> None:
    weights = {"kernel": np.float32([[1, -1]]), "bias": np.float32([0, 0])}
    np.testing.assert_array_equal(run(Dense("fc7", 2), [[3.0]], weights), [[3, 0]])
    np.testing.assert_array_equal(run(Dense("fc8", 2, relu=False), [[3.0]], weights), [[3, -3]])


def test_dense_rejects_an_image_of_another_size() -> None:
    """Nine images of 4 values must not become four images of 9 values."""
    weights = {"kernel": np.zeros((9, 2), np.float32), "bias": np.zeros(2, np.float32)}
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(Dense("fc6", 2), normal(9, 2, 2, 1), weights)


# Dropout


def test_dropout_does_nothing_without_a_seed() -> None:
    x = normal(4, 100)
    np.testing.assert_array_equal(run(Dropout("drop6", 0.5), x), x)


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_dropout_sets_a_fraction_to_zero_and_scales_the_others(rate: float) -> None:
    y = run(Dropout("drop6", rate), np.ones((100, 100)), seed=tf.constant(7))
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)
    assert abs((y == 0).mean() - rate) < 0.02  # four standard deviations of 10,000 draws


def test_dropout_repeats_for_a_seed_and_differs_between_seeds_and_layers() -> None:
    x = np.ones((10, 100))

    def drop(name: str, seed: int) -> np.ndarray:
        return run(Dropout(name, 0.5), x, seed=tf.constant(seed))

    np.testing.assert_array_equal(drop("drop6", 1), drop("drop6", 1))
    assert (drop("drop6", 1) != drop("drop6", 2)).any()
    assert (drop("drop6", 1) != drop("drop7", 1)).any()


# The whole


def test_normalize_equals_the_preprocessings_own() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    for name in ("alexnet", "alexnet-owt"):
        preprocessing = build(name).preprocessing
        np.testing.assert_allclose(normalize(preprocessing, pixels), preprocessing.normalize(pixels), rtol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_are_those_of_the_layers_for_any_batch(name: str, random_weights) -> None:
    network = build(name, {"num_classes": 5, "fc_units": 8})
    weights = random_weights(network)
    shapes = {}

    @tf.function(input_signature=[tf.TensorSpec((None, *network.input_shape), tf.float32)])
    def logits(x: tf.Tensor) -> tf.Tensor:
        y = x
        for layer, y in activations(network.layers, weights, x):
            shapes[layer] = tuple(y.shape[1:])
        return y

    logits.get_concrete_function()
    assert shapes == {step.layer.name: step.output_shape for step in network.steps()}


def test_weights_that_are_missing_are_named() -> None:
    with pytest.raises(KeyError, match="conv1/kernel"):
        run(Conv("conv1", 2, 1), row(1))


def test_unknown_layer_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"unknown layer: Layer\(name='mystery'\)"):
        run(Layer("mystery"), row(1))
