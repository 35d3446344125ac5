"""A `Classifier` computes a few images with NumPy and more of them with TensorFlow, to the same probabilities."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune.classifier import Classifier
from finetune.model import Model
from finetune.networks.summary import summarize


@pytest.mark.parametrize(
    ("multiply_adds", "most", "options", "expected"),
    [
        (3.0, 256, {}, 3),
        (2.9, 256, {}, 2),
        (0.9, 256, {}, 0),
        (35.0, 256, {"ten_crop": True}, 3),  # ten crops are ten images
        (9.0, 4, {}, 4),
    ],
)
def test_few_images_are_computed_with_numpy(
    multiply_adds: float,
    most: int,
    options: dict[str, bool],
    expected: int,
    tiny_model: Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`multiply_adds` of the rule are in units of one image's: up to so many images, TensorFlow computes nothing."""
    one = summarize(tiny_model.network).multiply_adds
    monkeypatch.setattr("finetune.networks.numpy_forward.NUMPY_MULTIPLY_ADDS", multiply_adds * one)
    monkeypatch.setattr("finetune.networks.numpy_forward.MOST_WITH_NUMPY", most)
    by_tensorflow: list[int] = []

    def compute(_: Classifier, layers: list[str], pixels: np.ndarray) -> dict[str, np.ndarray]:
        by_tensorflow.append(len(pixels))
        return {name: np.zeros((len(pixels), 3), np.float32) for name in layers}

    monkeypatch.setattr(Classifier, "_compute_with_tensorflow", compute)
    images = [np.zeros((80, 80), np.uint8)] * (expected + 1)
    classifier = Classifier(tiny_model)
    assert len(list(classifier.predict(images[:-1], **options))) == expected  # type: ignore[arg-type]
    assert by_tensorflow == []
    assert len(list(classifier.predict(images, **options))) == expected + 1  # type: ignore[arg-type]
    assert sum(by_tensorflow) == (expected + 1) * (10 if options else 1)
    by_tensorflow.clear()
    assert len(list(Classifier(tiny_model, many=True).predict(images[:1]))) == 1
    assert by_tensorflow == [1]


def test_only_the_layers_before_a_feature_count(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """conv1 of 67 × 67 pixels gives 15 × 15 positions of 96 kernels of 11 × 11 × 3."""
    monkeypatch.setattr("finetune.networks.numpy_forward.NUMPY_MULTIPLY_ADDS", 2 * 15 * 15 * 96 * 11 * 11 * 3)
    monkeypatch.setattr(Classifier, "_compute_with_tensorflow", lambda *_: pytest.fail("by TensorFlow"))
    images = [np.zeros((80, 80), np.uint8)] * 2
    assert len(list(Classifier(tiny_model).features(images, "pool1"))) == 2
    with pytest.raises(pytest.fail.Exception, match="by TensorFlow"):
        list(Classifier(tiny_model).features(images, "conv2"))


@pytest.mark.tensorflow
def test_few_and_many_give_the_same_probabilities(tiny_model: Model, image_folder: Callable[..., Path]) -> None:
    paths = sorted(image_folder(stripes=3, dots=3).rglob("*.png"))
    few, many = (Classifier(tiny_model, many=many).predict(paths) for many in (False, True))
    for found, expected in zip(few, many, strict=True):
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)  # type: ignore[arg-type]
