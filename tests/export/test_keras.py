"""The .keras file, loaded by Keras alone."""

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from support.exports import assert_same

from finetune.classifier import load
from finetune.export.export import export


def test_probabilities_and_weights(
    weights: Path, tmp_path: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float64]
) -> None:
    exported = export(str(weights), "keras", tmp_path / "out")
    assert exported.folder == tmp_path / "out"
    assert exported.difference < 1e-5
    model = keras.models.load_model(tmp_path / "out/model.keras")
    assert_same(model.predict(pixels, verbose=0), expected)
    assert_same(model.predict(pixels.astype(np.float32), verbose=0), expected)
    original = load(str(weights)).model
    for name in original.network.weighted_layers():
        kernel, bias = model.get_layer(name).get_weights()
        np.testing.assert_array_equal(kernel, original.weights[f"{name}/kernel"])
        np.testing.assert_array_equal(bias, original.weights[f"{name}/bias"])
