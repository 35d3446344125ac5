"""The NumPy forward pass: each kind of layer by hand, every network against TensorFlow, AlexNet against Caffe."""

from pathlib import Path

import numpy as np
import pytest

from finetune.formats.caffemodel import read_caffemodel
from finetune.networks import NETWORKS, Network, build, numpy_forward
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
from finetune.networks.numpy_forward import activations
from finetune.pretrained.load import load_weights


def run(layer: Layer, x, **weights: object) -> np.ndarray:
    """Return the output of one layer."""
    named = {f"{layer.name}/{name}": np.array(value, np.float32) for name, value in weights.items()}
    ((name, y),) = activations([layer], named, np.array(x, np.float32))
    assert (name, y.dtype) == (layer.name, np.float32)
    return y


def row(*values: float) -> np.ndarray:
    """Return one image of one pixel with these channels."""
    return np.float32(values).reshape(1, 1, 1, -1)


def square(side: int) -> np.ndarray:
    """Return one gray image of the numbers 1 to side² in rows."""
    return np.arange(1, side * side + 1, dtype=np.float32).reshape(1, side, side, 1)


# Convolution


def test_convolution_sums_the_pixels_of_a_window() -> None:
    """A kernel with 1 at its top left and 10 at its right middle pixel, on rows 1 2 3, 4 5 6, 7 8 9."""
    kernel = np.zeros((2, 2, 1, 1))
    kernel[0, 0], kernel[1, 1] = 1, 10
    y = run(Conv("c", 1, 2), square(3), kernel=kernel, bias=[0.5])
    np.testing.assert_array_equal(y[0, ..., 0], [[51.5, 62.5], [84.5, 95.5]])


@pytest.mark.parametrize(
    ("padding", "strides", "expected"),
    [
        (1, 1, [[12, 21, 16], [27, 45, 33], [24, 39, 28]]),  # a border of zeros on every side
        ("same", 1, [[12, 21, 16], [27, 45, 33], [24, 39, 28]]),
        (1, 2, [[12, 16], [24, 28]]),
        ("valid", 1, [[45]]),
    ],
)
def test_padding_of_a_convolution(padding: str | int, strides: int, expected: list[list[float]]) -> None:
    layer = Conv("c", 1, 3, strides=strides, padding=padding)
    y = run(layer, square(3), kernel=np.ones((3, 3, 1, 1)), bias=[0])
    np.testing.assert_array_equal(y[0, ..., 0], expected)


def test_odd_padding_is_after_the_image() -> None:
    """Windows of 2 on a side of 3: "same" adds one row below and one column on the right."""
    y = run(Conv("c", 1, 2, padding="same"), square(3), kernel=np.ones((2, 2, 1, 1)), bias=[0])
    np.testing.assert_array_equal(y[0, ..., 0], [[12, 16, 9], [24, 28, 15], [15, 17, 9]])


def test_groups_see_their_own_channels() -> None:
    """Two groups of two filters: the first two see 1 and 2, the others 10 and 20."""
    kernel = [[[[1, 0, 1, 2], [0, 1, 1, -1]]]]  # by input of the group, then by filter
    y = run(Conv("c", 4, 1, groups=2), row(1, 2, 10, 20), kernel=kernel, bias=[0, 0, 0, 0.5])
    np.testing.assert_array_equal(y, row(1, 2, 30, 0.5))


def test_convolution_ends_in_relu() -> None:
    y = run(Conv("c", 2, 1), row(3), kernel=[[[[1, 1]]]], bias=[-5, 5])
    np.testing.assert_array_equal(y, row(0, 8))


# Pooling


def test_max_pool_drops_windows_that_reach_over_the_edge() -> None:
    np.testing.assert_array_equal(run(MaxPool("p", 3, 2), square(6))[0, ..., 0], [[15, 17], [27, 29]])


def test_max_pool_same_cuts_windows_off_at_the_edge() -> None:
    """All values are negative: a border of zeros would win."""
    y = run(MaxPool("p", 2, 2, padding="same"), -square(3))
    np.testing.assert_array_equal(y[0, ..., 0], [[-1, -3], [-7, -9]])


@pytest.mark.parametrize(
    ("side", "size", "means"),
    [
        (5, 3, [0.5, 2, 3.5]),  # pixels 0–1, 1–3, 3–4
        (4, 6, [0, 0.5, 1, 2, 2.5, 3]),  # windows of one or two pixels
        (3, 3, [0, 1, 2]),
    ],
)
def test_adaptive_average_pool(side: int, size: int, means: list[float]) -> None:
    y = run(AdaptiveAveragePool("a", size), np.stack(np.mgrid[:side, :side], axis=-1)[None])
    np.testing.assert_allclose(y[0, ..., 0], np.tile(np.float32(means)[:, None], size), rtol=1e-6)
    np.testing.assert_allclose(y[0, ..., 1], np.tile(means, (size, 1)), rtol=1e-6)


def test_adaptive_average_pool_of_an_oblong_image() -> None:
    y = run(AdaptiveAveragePool("a", 1), [[[[1.0], [2.0], [6.0]]]])
    np.testing.assert_allclose(y, row(3), rtol=1e-6)


# Normalisation


def test_local_response_norm() -> None:
    """Squares of the neighbours: 1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16; alpha / size is 1."""
    y = run(LocalResponseNorm("n", size=3, alpha=3, beta=1, k=1), row(1, 2, 3, 4))
    np.testing.assert_allclose(y, row(1 / 6, 2 / 15, 3 / 30, 4 / 26), rtol=1e-6)


def test_local_response_norm_of_fewer_channels_than_its_size() -> None:
    """Both channels see both: 3 / (2 + 25)^(1/3) and 4 / (2 + 25)^(1/3)."""
    y = run(LocalResponseNorm("n", size=5, alpha=5, beta=1 / 3, k=2), row(3, 4))
    np.testing.assert_allclose(y, row(1, 4 / 3), rtol=1e-6)


def test_batch_norm_uses_the_running_statistics() -> None:
    weights = {"gamma": (2, 3), "beta": (0.5, -1), "moving_mean": (1, -1), "moving_variance": (3, 8)}
    y = run(BatchNorm("bn", epsilon=1.0), row(5, 5), **weights)
    np.testing.assert_allclose(y, row((5 - 1) / 2 * 2 + 0.5, (5 + 1) / 3 * 3 - 1), rtol=1e-6)


# Fully connected layers


def test_dense_flattens_row_by_row_with_channels_last() -> None:
    x = np.arange(8.0).reshape(1, 2, 2, 2)  # height, width, channel
    assert run(Dense("fc6", 1), x, kernel=10.0 ** np.arange(8)[:, None], bias=[0.0]) == 76543210


def test_a_kernel_that_is_not_aligned_is_taken_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """With pieces of one row, of two, and with all rows in one; as NumPy computes it at once."""
    x, kernel = np.arange(12, dtype=np.float32).reshape(2, 6), np.arange(30, dtype=np.float32).reshape(6, 5) - 9
    odd = np.frombuffer(b"\0" + kernel.tobytes(), np.uint8)[1:].view("<f4").reshape(6, 5)
    assert not odd.flags.aligned
    for piece in (1, 50, 1000):
        monkeypatch.setattr(numpy_forward, "PIECE", piece)
        found = dict(activations([Dense("fc6", 5, relu=False)], {"fc6/kernel": odd, "fc6/bias": np.ones(5, "f4")}, x))
        np.testing.assert_array_equal(found["fc6"], x @ kernel + 1)


def test_relu_of_dense_can_be_off() -> None:
    np.testing.assert_array_equal(run(Dense("fc7", 2), [[3.0]], kernel=[[1, -1]], bias=[0, 0]), [[3, 0]])
    np.testing.assert_array_equal(run(Dense("fc8", 2, relu=False), [[3.0]], kernel=[[1, -1]], bias=[0, 1]), [[3, -2]])


def test_dense_rejects_an_image_of_another_size() -> None:
    """Nine images of 4 values must not become four images of 9 values."""
    with pytest.raises(ValueError, match="mismatch"):
        run(Dense("fc6", 2), np.zeros((9, 2, 2, 1)), kernel=np.zeros((9, 2)), bias=[0, 0])


def test_dropout_does_nothing() -> None:
    np.testing.assert_array_equal(run(Dropout("drop6"), row(1, 2, 3)), row(1, 2, 3))


def test_unknown_layer_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"unknown layer: Layer\(name='mystery'\)"):
        run(Layer("mystery"), row(1))


# The whole


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float) -> None:
    """Compare the outputs of layers; the tolerance is relative to each layer's largest absolute value."""
    assert found.keys() == expected.keys()
    for layer, value in expected.items():
        largest = np.abs(value).max()
        assert 0 < largest < np.inf  # zeros or NaN on both sides would prove nothing
        np.testing.assert_allclose(found[layer], value, rtol=0, atol=tolerance * largest, err_msg=layer)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"num_classes": 5, "fc_units": 16}) for name in NETWORKS),
        ("alexnet-owt", {"num_classes": 5, "fc_units": 16, "input_size": 163}),  # 4 × 4 spread to 6 × 6
        ("alexnet-owt", {"num_classes": 5, "fc_units": 16, "input_size": 260}),  # 7 × 7 averaged to 6 × 6
        ("alexnet", {"num_classes": 200, "input_size": 163, "fc_units": 1024}),  # the starter
    ],
)
def test_every_layer_equals_tensorflows(name: str, options: dict[str, int | str], random_weights) -> None:
    compare_with_tensorflow(build(name, options), random_weights)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_a_full_network_equals_tensorflows(name: str, random_weights) -> None:
    compare_with_tensorflow(build(name), random_weights)


def compare_with_tensorflow(network: Network, random_weights) -> None:
    from finetune.networks import forward

    weights = random_weights(network)
    pixels = np.random.default_rng(1).integers(0, 256, (2, *network.input_shape), np.uint8)
    x = network.preprocessing.normalize(pixels)
    expected = {layer: y.numpy() for layer, y in forward.activations(network.layers, weights, x)}
    assert_close(dict(activations(network.layers, weights, x)), expected, 1e-5)


@pytest.mark.parametrize("name", ["alexnet", "caffenet"])
def test_every_layer_equals_caffes(name: str, shared: Path) -> None:
    """The oracle holds what OpenCV's Caffe reader computed from the same file and photo."""
    network = build(name, {"num_classes": 10, "fc_units": 64})
    weights = load_weights(network, read_caffemodel(shared / "oracle" / "alexnet_small.caffemodel"))
    x = network.preprocessing.normalize(np.load(shared / "oracle" / "input_bgr_uint8.npy")[None])
    found = {layer: y[0] for layer, y in activations(network.layers, weights, x)}
    with np.load(shared / "oracle" / f"{name}_activations.npz") as file:
        expected = {layer: file[layer] for layer in file if layer != "prob"}
    thinned = {layer: layer.removesuffix("_every_5th") for layer in expected}
    found = {layer: found[whole] if layer == whole else found[whole][::5, ::5] for layer, whole in thinned.items()}
    assert len(expected) == 13  # conv1 to fc8
    assert_close(found, expected, 1e-4)
