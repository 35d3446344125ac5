"""Starting values: what they depend on, and their spread."""

import numpy as np
import pytest

from finetune.networks import build
from finetune.networks.initialize import fresh_weights


def test_fresh_weights_depend_on_name_and_seed_alone() -> None:
    network = build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 512})
    first, again = fresh_weights(network, ("fc7", "fc8"), seed=1), fresh_weights(network, ("fc6", "fc7"), seed=1)
    np.testing.assert_array_equal(first["fc7/kernel"], again["fc7/kernel"])
    assert set(first) == {"fc7/kernel", "fc7/bias", "fc8/kernel", "fc8/bias"}
    assert not np.array_equal(first["fc7/kernel"], fresh_weights(network, ("fc7",), seed=2)["fc7/kernel"])
    conv1 = fresh_weights(network, ("conv1",), seed=1)["conv1/kernel"]
    assert conv1.std() == pytest.approx(np.sqrt(2 / 363) / 57.4, rel=0.02), "pixels are not of unit variance"
    assert first["fc7/kernel"].std() == pytest.approx(np.sqrt(2 / 512), rel=0.01)
    assert first["fc8/kernel"].std() == pytest.approx(0.01, rel=0.1)
    assert not first["fc7/bias"].any()
