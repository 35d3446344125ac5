"""Starting values: what they depend on, and their distribution."""

import numpy as np
import pytest

from finetune.networks import build
from finetune.networks.initialize import fresh_weights

NETWORK = build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 512})


def test_each_layer_depends_on_its_name_and_the_seed_alone() -> None:
    first, again = fresh_weights(NETWORK, ("fc7", "fc8"), seed=1), fresh_weights(NETWORK, ("fc6", "fc7"), seed=1)
    assert set(first) == {"fc7/kernel", "fc7/bias", "fc8/kernel", "fc8/bias"}
    np.testing.assert_array_equal(first["fc7/kernel"], again["fc7/kernel"])
    other_seed = fresh_weights(NETWORK, ("fc7",), seed=2)
    assert not np.array_equal(first["fc7/kernel"], other_seed["fc7/kernel"])
    square = build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 256})
    same_shape = fresh_weights(square, ("fc6", "fc7"), seed=1)
    assert same_shape["fc6/kernel"].shape == same_shape["fc7/kernel"].shape
    assert not np.array_equal(same_shape["fc6/kernel"], same_shape["fc7/kernel"])


@pytest.mark.parametrize(
    ("layer", "deviation"),
    [
        ("conv1", np.sqrt(2 / (11 * 11 * 3)) / 57.4),  # pixels from 0 to 255 are not of unit variance
        ("conv2", np.sqrt(2 / (5 * 5 * 48))),  # a filter sees one group of 48 channels
        ("fc7", np.sqrt(2 / 512)),
        ("fc8", 0.01),  # the logits
    ],
)
def test_kernels_are_normal_with_hes_variance(layer: str, deviation: float) -> None:
    kernel = fresh_weights(NETWORK, (layer,), seed=1)[f"{layer}/kernel"]
    assert kernel.dtype == np.float32
    assert kernel.std() == pytest.approx(deviation, rel=5 / np.sqrt(2 * kernel.size))  # five standard errors
    assert abs(kernel.mean()) < 5 * deviation / np.sqrt(kernel.size)
    within = (abs(kernel) < deviation).mean()
    assert within == pytest.approx(0.6827, abs=5 * np.sqrt(0.68 * 0.32 / kernel.size)), "as for a normal distribution"


def test_first_kernel_of_a_network_with_scaled_pixels() -> None:
    """Torchvision divides pixels by 0.226 · 255 on average, so that they have almost unit variance."""
    network = build("alexnet-owt", {"fc_units": 8})
    kernel = fresh_weights(network, ("conv1",), seed=1)["conv1/kernel"]
    expected = np.sqrt(2 / (11 * 11 * 3)) * np.mean([0.229, 0.224, 0.225]) * 255 / 57.4
    assert kernel.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * kernel.size))


def test_other_weights_are_0_or_1() -> None:
    network = build("alexnet-bn", {"num_classes": 2, "input_size": 67, "fc_units": 8})
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=0)
    values = {name: np.unique(weights[name]).tolist() for name in weights if not name.endswith("kernel")}
    assert values["bn1/gamma"] == values["bn1/moving_variance"] == [1]
    assert values["bn1/beta"] == values["bn1/moving_mean"] == values["conv1/bias"] == values["fc8/bias"] == [0]
    assert {tuple(value) for value in values.values()} == {(0,), (1,)}
    assert {name: value.shape for name, value in weights.items()} == network.weight_shapes()
