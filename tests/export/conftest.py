"""A model whose probabilities differ, photos, and what `predict` gives for them: what every format is compared with."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.exports import CLASSES

from finetune.classifier import load
from finetune.data.images import read_input
from finetune.model import Model, save_model


@pytest.fixture(scope="session")
def weights(tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny AlexNet with larger logits, so that probabilities differ, and a temperature."""
    scaled = {**tiny_model.weights, "fc8/kernel": 40 * tiny_model.weights["fc8/kernel"]}
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, replace(tiny_model, weights=scaled, class_names=CLASSES, about={"temperature": 2.5}))
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of several sizes and formats, larger and smaller than the network's input."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(5)
    paths = []
    for name, sides in {"a.jpg": (300, 200), "b.png": (90, 120), "c.jpg": (80, 77), "d.png": (40, 50)}.items():
        patches = generator.integers(0, 256, (4, 5, 3), np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(patches, sides, interpolation=cv2.INTER_CUBIC))
        paths.append(folder / name)
    return paths


@pytest.fixture(scope="session")
def expected(weights: Path, photos: list[Path]) -> NDArray[np.float64]:
    """The probabilities of `predict`, in the order of the classes."""
    rows = []
    for prediction in load(str(weights)).predict(photos, top=3):
        shares = {score.index: score.probability for score in prediction.scores}
        rows.append([shares[index] for index in range(3)])
    probabilities = np.array(rows)
    assert probabilities.max() < 0.99
    assert probabilities.std(axis=0).min() > 1e-3, "the images must differ, or the comparison proves nothing"
    return probabilities


@pytest.fixture(scope="session")
def pixels(weights: Path, photos: list[Path]) -> NDArray[np.uint8]:
    """The network's input in RGB, as a caller prepares it."""
    preprocessing = load(str(weights)).model.network.preprocessing
    images = [read_input(path, preprocessing) for path in photos]
    return np.stack(images)[..., ::-1].copy()  # type: ignore[arg-type]
