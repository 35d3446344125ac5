"""Networks small enough to work out on paper."""

from collections.abc import Callable

import numpy as np
import pytest

from finetune.classifier import Classifier
from finetune.data.preprocessing import Preprocessing
from finetune.model import Model
from finetune.networks import Network
from finetune.networks.layers import Layer


@pytest.fixture
def handmade() -> Callable[..., Classifier]:
    """Return a function that makes a classifier of gray `size` × `size` images from layers and weights."""

    def make(
        layers: tuple[Layer, ...],
        weights: dict[str, object],
        size: int,
        mean: float = 0.0,
        names: tuple[str, ...] = ("yes", "no"),
        **about: object,
    ) -> Classifier:
        gray = Preprocessing(size=size, mean=(mean,), std=(1.0,), channel_order="GRAY", resize_to=size)
        network = Network("handmade", {"num_classes": len(names)}, gray, layers)
        arrays = {name: np.asarray(value, np.float32) for name, value in weights.items()}
        assert {name: array.shape for name, array in arrays.items()} == network.weight_shapes()
        return Classifier(Model(network, arrays, names, about))

    return make
