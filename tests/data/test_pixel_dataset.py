"""A tf.data.Dataset of the pixels that `predict` sees."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from finetune.classifier import Classifier
from finetune.data.images import read_input
from finetune.errors import UsageError
from finetune.model import Model


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    generator = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), generator.integers(0, 256, (80 + number, 100, 3), np.uint8))
    return paths


def test_pixels_and_labels_in_order_in_every_epoch(tiny_model: Model, paths: list[Path]) -> None:
    dataset = Classifier(tiny_model).dataset(paths, [4, 3, 2, 1, 0], batch_size=2)
    assert len(dataset) == 3
    expected = np.stack([np.asarray(read_input(path, tiny_model.network.preprocessing))[..., ::-1] for path in paths])
    for _ in range(2):
        batches = list(dataset)
        assert [len(pixels) for pixels, _ in batches] == [2, 2, 1]
        np.testing.assert_array_equal(np.concatenate([pixels for pixels, _ in batches]), expected)
        assert np.concatenate([labels for _, labels in batches]).tolist() == [4, 3, 2, 1, 0]
    assert batches[0][0].dtype == tf.uint8


def test_a_folder_without_labels(tiny_model: Model, paths: list[Path]) -> None:
    (pixels,) = Classifier(tiny_model).dataset(paths[0].parent)
    assert pixels.shape == (5, 67, 67, 3)


def test_labels_may_be_rows(tiny_model: Model, paths: list[Path]) -> None:
    ((_, labels),) = Classifier(tiny_model).dataset(paths, np.eye(5, dtype=np.float32))
    np.testing.assert_array_equal(labels, np.eye(5))


def test_an_image_that_cannot_be_read_is_named(tiny_model: Model, paths: list[Path]) -> None:
    dataset = Classifier(tiny_model).dataset([*paths, "gone.png"], batch_size=5)
    batches = iter(dataset)
    assert len(next(batches)) == 5
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"gone\.png: cannot be opened \(No such file"):
        next(batches)


def test_wrong_arguments(tiny_model: Model, paths: list[Path]) -> None:
    classifier = Classifier(tiny_model)
    with pytest.raises(UsageError, match=r"^expected one label for each of 5 images, got 2; pass as many$"):
        classifier.dataset(paths, [0, 1])
    with pytest.raises(UsageError, match=r"^expected one label for each of 5 images, got a single value; pass as"):
        classifier.dataset(paths, 3)
    with pytest.raises(UsageError, match=r"^batch_size must be 1 or more, not 0$"):
        classifier.dataset(paths, batch_size=0)
