"""The SavedModel folder, loaded by TensorFlow: from the bytes of files to labels."""

from dataclasses import replace
from errno import ENOSPC
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from support.exports import CLASSES, assert_same

from finetune.choices import Interpolation
from finetune.classifier import load
from finetune.export import saved_model
from finetune.export.export import export
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights


@pytest.mark.slow
def test_labels_and_probabilities(
    weights: Path, tmp_path: Path, photos: list[Path], expected: NDArray[np.float64]
) -> None:
    export(str(weights), "saved_model", tmp_path / "out")
    classify = tf.saved_model.load(str(tmp_path / "out/1")).signatures["serving_default"]
    answer = classify(image_bytes=tf.constant([path.read_bytes() for path in photos]))
    assert_same(answer["probabilities"].numpy(), expected)
    names = [[name.decode() for name in row] for row in answer["class_names"].numpy()]
    assert names == [list(CLASSES)] * 4
    assert [name.decode() for name in answer["label"].numpy()] == [CLASSES[row.argmax()] for row in expected]
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected JPEG, PNG, GIF, WebP or BMP"):
        classify(image_bytes=tf.constant([photos[0].read_bytes(), b"not an image"]))


@pytest.mark.slow
@pytest.mark.parametrize("interpolation", ["area", "linear"])
def test_a_gray_network_that_warps(tmp_path: Path, photos: list[Path], interpolation: Interpolation) -> None:
    network = build("alexnet-mnist", {"num_classes": 4, "fc_units": 16})
    warping = replace(network.preprocessing, resize="warp", interpolation=interpolation)
    network = replace(network, preprocessing=warping)
    model = Model(network, fresh_weights(network, tuple(network.weighted_layers()), seed=1), tuple("abcd"))
    save_model(tmp_path / "gray.safetensors", model)
    export(str(tmp_path / "gray.safetensors"), "saved_model", tmp_path / "out")
    classify = tf.saved_model.load(str(tmp_path / "out/1")).signatures["serving_default"]
    found = classify(image_bytes=tf.constant([path.read_bytes() for path in photos]))["probabilities"].numpy()
    for row, prediction in zip(found, load(str(tmp_path / "gray.safetensors")).predict(photos, top=4), strict=True):
        assert_same(row, np.array([score.probability for score in sorted(prediction.scores, key=lambda s: s.index)]))


def test_a_full_disk_is_an_os_error(tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow calls it ResourceExhausted, as it does a lack of memory."""

    def fail(message: str) -> None:
        def save(*_: object, **__: object) -> None:
            raise tf.errors.ResourceExhaustedError(None, None, message)

        monkeypatch.setattr(tf.saved_model, "save", save)
        saved_model.write(tmp_path / "1", tiny_model)

    with pytest.raises(OSError, match="No space left on device") as caught:
        fail("1/variables; No space left on device")
    assert caught.value.errno == ENOSPC
    with pytest.raises(tf.errors.ResourceExhaustedError, match="out of memory"):
        fail("out of memory")
