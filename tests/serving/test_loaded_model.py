"""NumPy and TensorFlow give one answer, for batches of any size; explanations."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.drawn_photos import encoded, photo

from finetune.classifier import Classifier
from finetune.data.images import read_input_or_raise
from finetune.errors import ImageError
from finetune.explain.maps import grad_cam
from finetune.model import Model
from finetune.serving import loaded_model
from finetune.serving.loaded_model import LoadedModel

WARM_UP = LoadedModel.warm_up  # other tests replace it
IMAGES = [encoded(photo(number)) for number in range(5)]


@pytest.fixture
def model(tiny_model: Model) -> LoadedModel:
    return LoadedModel(Classifier(tiny_model))


def predicted(tiny_model: Model, tmp_path: Path, images: list[bytes], ten_crop: bool) -> np.ndarray:
    """Return what the classifier gives for files, (images, classes)."""
    paths = [tmp_path / f"{number}.jpg" for number in range(len(images))]
    for path, data in zip(paths, images, strict=True):
        path.write_bytes(data)
    return np.array([each.probabilities for each in Classifier(tiny_model).predict(paths, ten_crop=ten_crop)])


def probabilities(logits: list) -> np.ndarray:
    """Return the mean of the softmax over crops, (images, classes)."""
    exponents = np.exp(np.float64(logits).reshape(len(logits), -1, 3))
    return (exponents / exponents.sum(axis=2, keepdims=True)).mean(axis=1)


def test_with_numpy(model: LoadedModel, tiny_model: Model, tmp_path: Path) -> None:
    assert not model.with_tensorflow
    expected = predicted(tiny_model, tmp_path, IMAGES, ten_crop=False)
    np.testing.assert_allclose(probabilities(model.logits(IMAGES)), expected, atol=1e-6)
    expected = predicted(tiny_model, tmp_path, IMAGES, ten_crop=True)
    np.testing.assert_allclose(probabilities(model.ten_crop_logits(IMAGES)), expected, atol=1e-6)


def test_an_unreadable_image_takes_its_place(model: LoadedModel) -> None:
    first, second, third = model.logits([IMAGES[0], b"text", IMAGES[1]])
    assert isinstance(second, ImageError)
    np.testing.assert_allclose([first, third], model.logits(IMAGES[:2]), rtol=1e-5)
    assert all(isinstance(each, ImageError) for each in model.logits([b"text", b""]))
    assert isinstance(model.explanations([0], [b"text"])[0], ImageError)


def test_too_many_pixels(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_model, "MOST_PIXELS", 200 * 150)
    fits, larger = model.logits([encoded(photo(1, 150, 200)), encoded(photo(1, 151, 200))])
    assert not isinstance(fits, ImageError)
    assert str(larger) == "200×151 pixels are more than the server's limit of 0 megapixels; shrink it"
    assert str(model.explanations([0], [encoded(photo(1, 151, 200))])[0]) == str(larger)


def test_too_little_memory(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the error of one image, not of its batch."""
    decode = loaded_model.decode

    def limited(data: bytes, *arguments: object) -> object:
        if data == IMAGES[0]:
            raise MemoryError
        return decode(data, *arguments)

    monkeypatch.setattr(loaded_model, "decode", limited)
    first, second = model.logits(IMAGES[:2])
    assert str(first) == "the server has not enough memory for it; shrink it"
    assert not isinstance(second, ImageError)


@pytest.mark.tensorflow
@pytest.mark.parametrize("count", [1, 5, 33])
def test_with_tensorflow(model: LoadedModel, count: int) -> None:
    images = [IMAGES[number % len(IMAGES)] for number in range(count)]
    expected = model.logits(images)
    WARM_UP(model)
    assert model.with_tensorflow
    np.testing.assert_allclose(model.logits(images), expected, atol=1e-4)
    if count == 5:
        np.testing.assert_allclose(model.ten_crop_logits(images)[3], model.ten_crop_logits([images[3]])[0], atol=1e-4)


@pytest.mark.tensorflow
def test_explanations(model: LoadedModel, tiny_model: Model, tmp_path: Path) -> None:
    """The drawing shows the Grad-CAM of the most probable of the classes, in the middle square of the image."""
    path = tmp_path / "a.jpg"
    path.write_bytes(IMAGES[0])
    (logits,) = model.logits(IMAGES[:1])
    others = sorted(set(range(3)) - {int(logits.argmax())}, key=lambda index: -logits[index])
    pixels = read_input_or_raise(path, tiny_model.network.preprocessing)
    for classes, meant in ((range(3), int(logits.argmax())), (others, others[0]), ([others[1]], others[1])):
        (data,) = model.explanations(classes, IMAGES[:1])
        png = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert png.shape[1] / png.shape[0] == pytest.approx(200 / 150, abs=0.02)
        values = grad_cam(Classifier(tiny_model), pixels, [meant])[0]
        colors = cv2.applyColorMap(np.rint(255 * values).astype(np.uint8), cv2.COLORMAP_INFERNO)
        rows, columns = np.nonzero(png[..., 3])
        seen = png[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, :3]
        assert np.abs(cv2.resize(colors, seen.shape[1::-1]).astype(int) - seen).max() <= 2


def test_features_are_computed_up_to_the_layer(model: LoadedModel) -> None:
    compute = partial(model.features, ["conv5", "fc6"])
    first, second, third = compute([IMAGES[0], b"text", IMAGES[1]])
    assert isinstance(second, ImageError)
    assert {name: values.shape for name, values in first.items()} == {"conv5": (3, 3, 256), "fc6": (8,)}
    np.testing.assert_array_equal(third["fc6"], compute([IMAGES[1]])[0]["fc6"])
