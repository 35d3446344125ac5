"""`to_keras`: a model that Keras evaluates, fits and saves, with the probabilities of `predict`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from finetune.classifier import Classifier
from finetune.model import Model
from finetune.networks import NETWORKS, build
from finetune.networks.initialize import fresh_weights


@pytest.fixture
def images(image_folder: Callable[..., Path]) -> list[Path]:
    return sorted(image_folder(dots=3, stripes=3).rglob("*.png"))


@pytest.fixture
def classifier(tiny_model: Model) -> Classifier:
    """The tiny AlexNet with logits that differ, and a temperature."""
    weights = {**tiny_model.weights, "fc8/kernel": 40 * tiny_model.weights["fc8/kernel"]}
    return Classifier(replace(tiny_model, weights=weights, about={"temperature": 2.5}))


def probabilities(classifier: Classifier, images: list[Path]) -> np.ndarray:
    return np.stack([np.asarray(prediction.probabilities) for prediction in classifier.predict(images)])


def test_the_probabilities_of_predict(classifier: Classifier, images: list[Path]) -> None:
    model, expected = classifier.to_keras(), probabilities(classifier, images)
    assert expected.std(axis=0).min() > 1e-3, "the images must differ, or the comparison proves nothing"
    np.testing.assert_allclose(model.predict(classifier.dataset(images), verbose=0), expected, rtol=0, atol=1e-6)
    pixels = np.concatenate(list(classifier.dataset(images)))
    np.testing.assert_allclose(model(pixels), expected, rtol=0, atol=1e-6)
    assert model.count_params() == classifier.model.network.parameters(), "the mean is not a parameter"


def test_without_preprocessing(classifier: Classifier, images: list[Path]) -> None:
    pixels = np.concatenate(list(classifier.dataset(images)))
    normalized = classifier.model.network.preprocessing.normalize(pixels[..., ::-1])
    found = classifier.to_keras(preprocessing=False)(normalized)
    np.testing.assert_allclose(found, probabilities(classifier, images), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "vgg16"])
def test_every_network(name: str, images: list[Path]) -> None:
    """alexnet-book ends in pool5 and has no classes, so its output is that of pool5."""
    network = build(name, {"fc_units": 16})
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=1)
    classes = tuple(map(str, range(network.num_classes)))
    classifier = Classifier(Model(network, weights, classes))
    found = classifier.to_keras().predict(classifier.dataset(images), verbose=0)
    if classes:
        np.testing.assert_allclose(found, probabilities(classifier, images), rtol=0, atol=1e-6)
        return
    expected = np.stack([np.asarray(features.values) for features in classifier.features(images, "pool5")])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())


@pytest.mark.slow
def test_evaluate_fit_save_and_load(classifier: Classifier, images: list[Path], tmp_path: Path) -> None:
    labels = np.array([0, 0, 0, 2, 2, 2])
    dataset = classifier.dataset(images, labels, batch_size=6)
    model = classifier.to_keras()
    model.compile(keras.optimizers.SGD(1e-5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.evaluate(dataset, verbose=0, return_dict=True)
    expected = probabilities(classifier, images)
    assert before["loss"] == pytest.approx(-np.log(expected[range(6), labels]).mean(), rel=1e-5)
    assert before["accuracy"] == pytest.approx((expected.argmax(axis=1) == labels).mean())
    kernel = model.get_layer("conv2").get_weights()[0]
    np.testing.assert_array_equal(kernel, classifier.model.weights["conv2/kernel"])
    for _ in range(5):
        model.fit(dataset, shuffle=False, verbose=0)
    assert not np.array_equal(model.get_layer("conv2").get_weights()[0], kernel), "the first layers are trained too"
    assert model.evaluate(dataset, verbose=0, return_dict=True)["loss"] < before["loss"]
    np.testing.assert_array_equal(classifier.model.weights["conv2/kernel"], kernel)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(dataset, verbose=0), model.predict(dataset, verbose=0))
