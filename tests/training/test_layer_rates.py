"""What --layer-lr means."""

import pytest

from finetune.errors import UsageError
from finetune.networks import build
from finetune.training.layer_rates import layer_factors

NETWORK = build("alexnet")
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


def test_an_unknown_layer() -> None:
    with pytest.raises(UsageError, match="--layer-lr: alexnet has no layer 'dense' with weights"):
        layer_factors(("dense=0.1",), NETWORK, LAYERS)


def test_factors_by_name_and_by_beginning() -> None:
    """The longer name counts, in whatever order they come; what is not trained has no factor."""
    assert layer_factors(("conv5=0.5", "conv=0.1"), NETWORK, ("conv4", "conv5", "fc8")) == {"conv4": 0.1, "conv5": 0.5}


def test_one_number_is_a_factor_for_each_layer_of_depth() -> None:
    assert layer_factors(("0.5",), NETWORK, ("fc6", "fc7", "fc8")) == {"fc8": 1, "fc7": 0.5, "fc6": 0.25}


@pytest.mark.parametrize("text", ["fc8=", "fc8=x", "fc8=-1", "fc8=inf", "much"])
def test_factors_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--layer-lr: expected LAYER=FACTOR or one factor, from 0 to 1000, not"):
        layer_factors((text,), NETWORK, LAYERS)
