"""Random weights for any network."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune.networks import Network

Arrays = dict[str, NDArray[np.float32]]


@pytest.fixture
def random_weights() -> Callable[[Network], Arrays]:
    """Weights that keep activations of order 1 through the layers, with no bias, scale or statistic left at 0 or 1."""

    def draw(network: Network, seed: int = 0) -> Arrays:
        random = np.random.default_rng(seed)
        weights = {}
        for name, shape in network.weight_shapes().items():
            if name.endswith(("gamma", "moving_variance")):
                weights[name] = random.uniform(0.5, 1.5, shape).astype(np.float32)
            else:
                spread = np.sqrt(2 / np.prod(shape[:-1])) if name.endswith("kernel") else 0.1
                weights[name] = random.standard_normal(shape, np.float32) * np.float32(spread)
        return weights

    return draw
