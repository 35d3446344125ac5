"""What programs for TensorFlow 1 print, reproduced: weights, image and network as they read and compute them.

The program is written from finetune_alexnet_with_tensorflow (Kratzert): its alexnet.py and its notebook
validate_alexnet_on_imagenet, whose `test_image` reads with cv2.imread and resizes with cv2.resize.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from support.checkpoint_files import save_checkpoint_of_tf1, variables
from support.drawn_photos import encoded, photo

from finetune.classifier import load
from finetune.formats.npy_file import write_npy
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.pretrained.description import Description

Finetune = Callable[..., tuple[int, str, str]]
Weights = Mapping[str, NDArray[np.float32]]

IMAGENET_MEAN = np.array([104.0, 117.0, 124.0], dtype=np.float32)
AS_TEST_IMAGE = ("--network", "alexnet", "--resize", "warp", "--mean", "none", "--interpolation", "linear")


def read_and_resize(path: Path, mean: NDArray[np.float32] | None) -> NDArray[np.float32]:
    image = cv2.imread(str(path))
    image = cv2.resize(image.astype(np.uint8), (227, 227))
    image = image.astype(np.float32)
    if mean is not None:
        image -= mean
    return image.reshape((1, 227, 227, 3))


def alexnet(x: Any, weights: Weights) -> NDArray[np.float32]:
    """Return fc8 of AlexNet, with dropout off."""

    def conv(x: Any, name: str, stride: int, padding: str, groups: int = 1) -> Any:
        kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
        pairs = zip(tf.split(x, groups, axis=3), tf.split(kernel, groups, axis=3), strict=True)
        parts = [tf.nn.conv2d(part, filters, [1, stride, stride, 1], padding) for part, filters in pairs]
        return tf.nn.relu(tf.nn.bias_add(tf.concat(parts, axis=3), bias))

    def lrn(x: Any) -> Any:
        return tf.nn.local_response_normalization(x, depth_radius=2, alpha=2e-05, beta=0.75, bias=1.0)

    def max_pool(x: Any) -> Any:
        return tf.nn.max_pool(x, ksize=3, strides=2, padding="VALID")

    def fc(x: Any, name: str) -> Any:
        return tf.matmul(x, weights[f"{name}/kernel"]) + weights[f"{name}/bias"]

    pool1 = max_pool(lrn(conv(x, "conv1", 4, "VALID")))
    pool2 = max_pool(lrn(conv(pool1, "conv2", 1, "SAME", groups=2)))
    conv3 = conv(pool2, "conv3", 1, "SAME")
    conv4 = conv(conv3, "conv4", 1, "SAME", groups=2)
    pool5 = max_pool(conv(conv4, "conv5", 1, "SAME", groups=2))
    flattened = tf.reshape(pool5, [-1, 6 * 6 * 256])
    fc7 = tf.nn.relu(fc(tf.nn.relu(fc(flattened, "fc6")), "fc7"))
    result: NDArray[np.float32] = fc(fc7, "fc8").numpy()
    return result


@pytest.fixture(scope="module")
def weights() -> Weights:
    """AlexNet's, with narrow fully connected layers and random biases too."""
    network = build("alexnet", {"num_classes": 7, "fc_units": 64})
    drawn = fresh_weights(network, tuple(network.weighted_layers()), seed=2)
    generator = np.random.default_rng(0)
    return {
        name: generator.normal(0, 1, value.shape).astype(np.float32) if name.endswith("bias") else value
        for name, value in drawn.items()
    }


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """JPEG and PNG, larger and smaller than the input, of which one is twice as large; with fine detail."""
    noise = np.random.default_rng(1).integers(-40, 40, (1200, 1600, 3))
    paths = []
    for number, (height, width, extension) in enumerate(
        [(1200, 900, ".jpg"), (454, 454, ".png"), (480, 640, ".jpg"), (150, 200, ".png"), (300, 130, ".jpg")]
    ):
        pixels = (photo(number, height, width) + noise[:height, :width]).clip(0, 255).astype(np.uint8)
        paths.append(tmp_path / f"{number}{extension}")
        paths[-1].write_bytes(encoded(pixels, extension))
    return paths


def close(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    return bool(np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max())


def by_program(images: list[Path], weights: Weights, mean: NDArray[np.float32] | None) -> NDArray[np.float32]:
    return np.concatenate([alexnet(read_and_resize(path, mean), weights) for path in images])


@pytest.mark.parametrize(("mean", "subtracted"), [("none", None), ("104,117,124", IMAGENET_MEAN)])
def test_the_test_image_script(
    mean: str, subtracted: NDArray[np.float32] | None, weights: Weights, images: list[Path], tmp_path: Path,
    finetune: Finetune,
) -> None:  # fmt: skip
    """fc8 within 1e-5 of its largest value, as score writes it with TensorFlow and as NumPy computes a few images."""
    write_npy(tmp_path / "bvlc.npy", weights)
    expected = by_program(images, weights, subtracted)
    options = [mean if option == "none" else option for option in AS_TEST_IMAGE]
    out = tmp_path / "fc8.npy"
    code, _, error = finetune(
        "score", *images, "--model", tmp_path / "bvlc.npy", *options, "--features", "fc8", "--out", out
    )
    assert (code, error.count("error")) == (0, 0)
    assert close(np.load(out), expected)
    description = Description("warp", mean, "linear")
    logits = [row for _, row in load(tmp_path / "bvlc.npy", "alexnet", description=description).logits(images)]
    assert close(np.array(logits), expected)
    usual = [row for _, row in load(tmp_path / "bvlc.npy", "alexnet").logits(images)]
    assert not np.abs(np.array(usual) - expected).max() <= 0.01 * np.abs(expected).max()


def test_a_checkpoint_with_a_file_of_class_names(
    weights: Weights, images: list[Path], tmp_path: Path, finetune: Finetune
) -> None:
    names = [f"n0000000{number} kind {number}" for number in range(7)]
    (tmp_path / "classes.txt").write_text("\n".join(names))
    save_checkpoint_of_tf1(tmp_path / "model_epoch10.ckpt", variables(weights))
    described = (*AS_TEST_IMAGE, "--class-names", tmp_path / "classes.txt")
    model = tmp_path / "model_epoch10.ckpt"
    code, printed, _ = finetune("predict", *images, "--model", model, *described, "--top", "7", "--json")
    assert code == 0
    logits = by_program(images, weights, None).astype(np.float64)
    for row, of_image in zip(map(json.loads, printed.splitlines()), logits, strict=True):
        probabilities = np.exp(of_image - of_image.max()) / np.exp(of_image - of_image.max()).sum()
        assert [score["label"] for score in row["predictions"]] == [names[i] for i in np.argsort(-probabilities)]
        found = [score["probability"] for score in row["predictions"]]
        np.testing.assert_allclose(found, np.sort(probabilities)[::-1], atol=1e-4)


def test_options_for_a_model_that_describes_itself(tiny_weights: Path, images: list[Path], finetune: Finetune) -> None:
    for command in (("predict",), ("score", "--out", images[0].parent / "out.csv")):
        code, printed, error = finetune(*command, images[0], "--model", tiny_weights, "--interpolation", "linear")
        assert (code, printed) == (2, "")
        assert error == (
            "finetune: error: --interpolation is for weights that do not describe themselves, but tiny.safetensors "
            "states its preprocessing and the names of its classes, as it was trained; omit --interpolation\n"
        )
    assert not (images[0].parent / "out.csv").exists()


@pytest.mark.slow
def test_what_a_training_assumes_travels_in_its_model(
    weights: Weights, images: list[Path], tmp_path: Path, finetune: Finetune
) -> None:
    """The features of the frozen layers are those of the program, and so is what the run does from then on."""
    save_checkpoint_of_tf1(tmp_path / "model.ckpt", variables(weights))
    rows = [f"{path},{'even' if number % 2 == 0 else 'odd'}" for number, path in enumerate(images * 2)]
    for number in range(8):
        path = tmp_path / f"more{number}.png"
        path.write_bytes(encoded(photo(100 + number, 260, 300), ".png"))
        rows.append(f"{path},{'even' if number % 2 == 0 else 'odd'}")
    (tmp_path / "data.csv").write_text("\n".join(["path,label", *dict.fromkeys(rows)]) + "\n")
    run = tmp_path / "run"
    code, _, error = finetune(
        "train", "--data", tmp_path / "data.csv", "--weights", tmp_path / "model.ckpt", "--skip", "fc8",
        "--epochs", "1", *AS_TEST_IMAGE, "--out", run,
    )  # fmt: skip
    assert code == 0, error
    config = json.loads((run / "config.json").read_text())
    assert config["weights"] == str(tmp_path / "model.ckpt.index")
    assert (config["resize"], config["mean"], config["interpolation"]) == ("warp", "none", "linear")
    trained = load(run)
    assert trained.model.network.preprocessing.interpolation == "linear"
    assert close(
        np.array([row for _, row in trained.logits(images)]),
        by_program(images, {**weights, **trained.model.weights}, None),
    )
    code, _, error = finetune("predict", images[0], "--model", run, "--mean", "weights", "--resize", "crop")
    assert code == 2
    assert "--resize is for weights that do not describe themselves" in error
