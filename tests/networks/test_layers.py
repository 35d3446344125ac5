"""Shapes, weights and cost of each kind of layer."""

import pytest

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


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv("conv1", 96, 11, strides=4), (227, 227, 3), (55, 55, 96)),  # (227 - 11) / 4 + 1
        (Conv("conv1", 96, 11, strides=4), (224, 224, 3), (54, 54, 96)),  # the last pixel is not used
        (Conv("conv1", 64, 11, strides=4, padding=2), (224, 224, 3), (55, 55, 64)),
        (Conv("conv1", 64, 11, strides=4, padding="same"), (224, 224, 3), (56, 56, 64)),
        (Conv("conv2", 8, 3, strides=2, padding="same"), (7, 8, 4), (4, 4, 8)),
        (Conv("conv3", 8, 3, padding=1), (13, 9, 4), (13, 9, 8)),
        (Conv("conv1", 8, 11), (10, 10, 3), (0, 0, 8)),
        (MaxPool("pool1", 3, 2), (55, 54, 96), (27, 26, 96)),
        (MaxPool("pool5", 2, 2), (7, 7, 128), (3, 3, 128)),
        (MaxPool("pool5", 2, 2, padding="same"), (7, 7, 128), (4, 4, 128)),
        (AdaptiveAveragePool("avgpool", 6), (4, 13, 256), (6, 6, 256)),
        (LocalResponseNorm("norm1"), (27, 27, 96), (27, 27, 96)),
        (BatchNorm("bn1"), (27, 27, 96), (27, 27, 96)),
        (Dropout("drop6"), (4096,), (4096,)),
        (Dense("fc6", 10), (6, 6, 256), (10,)),
    ],
)
def test_output_shape(layer: Layer, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert layer.output_shape(shape) == expected


def test_grouped_convolution_has_one_kernel_over_half_the_channels() -> None:
    layer = Conv("conv2", 256, 5, padding=2, groups=2)
    assert layer.weight_shapes((27, 27, 96)) == {"kernel": (5, 5, 48, 256), "bias": (256,)}


def test_dense_weights_take_the_flattened_image() -> None:
    assert Dense("fc6", 4096).weight_shapes((6, 6, 256)) == {"kernel": (9216, 4096), "bias": (4096,)}


def test_batch_norm_has_four_values_per_channel() -> None:
    assert BatchNorm("bn1").weight_shapes((27, 27, 96)) == {
        "gamma": (96,),
        "beta": (96,),
        "moving_mean": (96,),
        "moving_variance": (96,),
    }


@pytest.mark.parametrize(
    "layer", [MaxPool("p", 3, 2), AdaptiveAveragePool("a", 6), LocalResponseNorm("n"), Dropout("d"), BatchNorm("b")]
)
def test_only_convolutions_and_fully_connected_layers_count_multiply_adds(layer: Layer) -> None:
    assert layer.multiply_adds((6, 6, 4)) == 0


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv("conv1", 2, 3), (4, 4, 5), 2 * 2 * 3 * 3 * 5 * 2),  # 2 × 2 positions, 3 × 3 × 5 products, 2 filters
        (Conv("conv2", 2, 3, padding=1, groups=2), (4, 4, 6), 4 * 4 * 3 * 3 * 3 * 2),  # each filter sees 3 channels
        (Dense("fc6", 7), (2, 2, 3), 12 * 7),
    ],
)
def test_multiply_adds(layer: Layer, shape: tuple[int, ...], expected: int) -> None:
    assert layer.multiply_adds(shape) == expected
