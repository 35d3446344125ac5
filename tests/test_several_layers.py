"""`Classifier.features` of several layers, with NumPy and with TensorFlow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune.classifier import load


@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.tensorflow)])
def test_features_of_several_layers(many: bool, tiny_weights: Path, image_folder: Callable[..., Path]) -> None:
    """What each layer gives alone, from one pass; pooling leaves vectors as they are."""
    paths = [*sorted(image_folder(stripes=2).rglob("*.png")), Path("gone.png")]
    classifier = load(tiny_weights, many=many)
    layers = ("fc7:linear", "fc7", "conv1")
    *several, unread = classifier.features(paths, list(layers))
    assert (unread.values, unread.error) == (None, "cannot be opened (No such file or directory)")
    pooled = list(classifier.features(paths[:2], layers, pool="max"))
    for layer in layers:
        for alone, together, largest in zip(classifier.features(paths[:2], layer), several, pooled, strict=True):
            assert together.values is not None
            assert largest.values is not None
            assert alone.values is not None
            assert list(together.values) == list(layers)
            np.testing.assert_allclose(together.values[layer], alone.values, rtol=1e-5, atol=1e-5)
            maximum = together.values[layer].max(axis=(0, 1)) if layer == "conv1" else together.values[layer]
            np.testing.assert_array_equal(largest.values[layer], maximum)
    for row in several:
        assert row.values is not None
        np.testing.assert_array_equal(np.maximum(row.values["fc7:linear"], 0), row.values["fc7"])
