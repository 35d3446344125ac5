"""Keras: a model made of Keras' own layers and operations, which loads without this package."""

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from finetune.model import Model
from finetune.networks.keras_network import keras_network


def write(path: Path, model: Model) -> None:
    """Write a .keras file: from pixels (batch, size, size, channels), 0 to 255, RGB or gray, to probabilities.

    The layers have the names of the network's layers, and the same weights.
    """
    keras_network(model.network, model.weights, model.temperature).save(path)


def predict(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities (batch, classes) that Keras computes with the file."""
    return np.asarray(keras.models.load_model(path)(pixels.astype(np.float32)))
