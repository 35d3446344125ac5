"""Every format, loaded by its own runtime, gives what `predict` gives for the same images."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from finetune.choices import ExportFormat
from finetune.classifier import load
from finetune.data.images import read_input
from finetune.data.preprocessing import Preprocessing
from finetune.export import litert
from finetune.export.export import export
from finetune.formats.read_weights import read_weights
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.pretrained.load import load_weights

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

CLASSES = ("red", "grün|one", "blue")


@pytest.fixture(scope="module")
def weights(tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny AlexNet with larger logits, so that probabilities differ, and a temperature."""
    scaled = {**tiny_model.weights, "fc8/kernel": 40 * tiny_model.weights["fc8/kernel"]}
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, replace(tiny_model, weights=scaled, class_names=CLASSES, about={"temperature": 2.5}))
    return path


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def pixels(weights: Path, photos: list[Path]) -> NDArray[np.uint8]:
    """The network's input in RGB, as a caller prepares it."""
    preprocessing = load(str(weights)).model.network.preprocessing
    images = [read_input(path, preprocessing) for path in photos]
    return np.stack(images)[..., ::-1].copy()  # type: ignore[arg-type]


def check(found: NDArray[np.floating], expected: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_keras(weights: Path, tmp_path: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float64]) -> None:
    exported = export(str(weights), "keras", tmp_path / "out")
    assert exported.folder == tmp_path / "out"
    assert exported.difference < 1e-5
    model = keras.models.load_model(tmp_path / "out/model.keras")
    check(model.predict(pixels, verbose=0), expected)
    check(model.predict(pixels.astype(np.float32), verbose=0), expected)
    original = load(str(weights)).model
    for name in original.network.weighted_layers():
        kernel, bias = model.get_layer(name).get_weights()
        np.testing.assert_array_equal(kernel, original.weights[f"{name}/kernel"])
        np.testing.assert_array_equal(bias, original.weights[f"{name}/bias"])


def test_litert(weights: Path, tmp_path: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float64]) -> None:
    export(str(weights), "litert", tmp_path / "out")
    runtime = interpreter.Interpreter(str(tmp_path / "out/model.tflite"))
    (given,), (answer,) = runtime.get_input_details(), runtime.get_output_details()
    runtime.allocate_tensors()
    for image, row in zip(pixels, expected, strict=True):  # one image at a time, the size of the file's input
        runtime.set_tensor(given["index"], image[None])
        runtime.invoke()
        check(runtime.get_tensor(answer["index"])[0], row)
    check(litert.predict(tmp_path / "out/model.tflite", pixels), expected)


def test_onnx(weights: Path, tmp_path: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float64]) -> None:
    export(str(weights), "onnx", tmp_path / "out")
    session = onnxruntime.InferenceSession(tmp_path / "out/model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"pixels": pixels})
    check(found, expected)
    (found,) = session.run(["probabilities"], {"pixels": pixels[:1]})
    check(found, expected[:1])


@pytest.mark.parametrize(("format", "file"), [("onnx", "model.onnx"), ("keras", "model.keras"), ("npy", "model.npy")])
def test_exports_can_be_read_back(weights: Path, tmp_path: Path, format: ExportFormat, file: str) -> None:
    export(str(weights), format, tmp_path / format)
    original, read = load(str(weights)).model, read_weights(tmp_path / format / file)
    found = load_weights(original.network, read)
    for name, value in original.weights.items():
        np.testing.assert_array_equal(found[name], value)


def test_npy_is_a_dictionary_of_lists(weights: Path, tmp_path: Path) -> None:
    export(str(weights), "npy", tmp_path / "out")
    arrays = np.load(tmp_path / "out/model.npy", allow_pickle=True).item()
    original = load(str(weights)).model.weights
    assert list(arrays) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    for layer, (kernel, bias) in arrays.items():
        np.testing.assert_array_equal(kernel, original[f"{layer}/kernel"])
        np.testing.assert_array_equal(bias, original[f"{layer}/bias"])


@pytest.mark.slow
def test_saved_model(weights: Path, tmp_path: Path, photos: list[Path], expected: NDArray[np.float64]) -> None:
    export(str(weights), "saved_model", tmp_path / "out")
    classify = tf.saved_model.load(str(tmp_path / "out/1")).signatures["serving_default"]
    answer = classify(image_bytes=tf.constant([path.read_bytes() for path in photos]))
    check(answer["probabilities"].numpy(), expected)
    names = [[name.decode() for name in row] for row in answer["class_names"].numpy()]
    assert names == [list(CLASSES)] * 4
    assert [name.decode() for name in answer["label"].numpy()] == [CLASSES[row.argmax()] for row in expected]
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected JPEG, PNG, GIF, WebP or BMP"):
        classify(image_bytes=tf.constant([photos[0].read_bytes(), b"not an image"]))


@pytest.mark.slow
def test_saved_model_of_a_gray_network_that_warps(tmp_path: Path, photos: list[Path]) -> None:
    network = build("alexnet-mnist", {"num_classes": 4, "fc_units": 16})
    network = replace(network, preprocessing=replace(network.preprocessing, resize="warp"))
    model = Model(network, fresh_weights(network, tuple(network.weighted_layers()), seed=1), tuple("abcd"))
    save_model(tmp_path / "gray.safetensors", model)
    export(str(tmp_path / "gray.safetensors"), "saved_model", tmp_path / "out")
    classify = tf.saved_model.load(str(tmp_path / "out/1")).signatures["serving_default"]
    found = classify(image_bytes=tf.constant([path.read_bytes() for path in photos]))["probabilities"].numpy()
    for row, prediction in zip(found, load(str(tmp_path / "gray.safetensors")).predict(photos, top=4), strict=True):
        check(row, np.array([score.probability for score in sorted(prediction.scores, key=lambda s: s.index)]))


def test_the_card_has_the_preprocessing_as_json(weights: Path, tmp_path: Path) -> None:
    export(str(weights), "npy", tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    (line,) = (line for line in card.splitlines() if line.startswith("    {"))
    assert Preprocessing.from_json(json.loads(line)) == load(str(weights)).model.network.preprocessing
    assert (tmp_path / "out/classes.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)
