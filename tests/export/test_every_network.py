"""Every network, narrow and with random weights, in every format that is built layer by layer."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.metrics import softmax
from finetune.model import Model
from finetune.networks import NETWORKS, build
from finetune.networks.forward import forward
from finetune.networks.initialize import fresh_weights

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

OPTIONS = {
    "alexnet": {"input_size": 67, "fc_units": 8},
    "caffenet": {"input_size": 67, "fc_units": 8},
    "alexnet-owt": {"input_size": 71, "fc_units": 8},  # pool5 is 1 × 1, and the windows of the average overlap
    "alexnet-book": {"input_size": 69, "fc_units": 8},
    "alexnet-bn": {"input_size": 67, "fc_units": 8},
    "alexnet-mnist": {"input_size": 27, "fc_units": 8},  # "same" padding differs between the two ends of a side
    "vgg16": {"input_size": 33, "fc_units": 8},
}


def random_model(name: str, options: dict[str, int]) -> Model:
    """Return a network with random biases and statistics too, and logits that differ."""
    network = build(name, {"num_classes": 5, **options})
    generator = np.random.default_rng(3)
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=2)
    for key, value in weights.items():
        if key.endswith("kernel"):
            weights[key] = value * (2 if key.startswith("fc") else 1)
        else:
            weights[key] = generator.uniform(0.1, 1, value.shape).astype(np.float32)
    return Model(network, weights, tuple("abcde"))


def check(format: str, file: str, model: Model, path: Path, *kernels: str, atol: float = 1e-5) -> None:
    module: Any = import_module(f"finetune.export.{format}")
    side, _, channels = model.network.input_shape
    pixels = np.random.default_rng(4).integers(0, 256, (3, side, side, channels), np.uint8)
    preprocessing = model.network.preprocessing
    own = pixels[..., ::-1] if preprocessing.channel_order == "BGR" else pixels
    logits = forward(model.network.layers, model.weights, preprocessing.normalize(own)).numpy()
    assert logits.std(axis=1).min() > 1e-3
    temperature = float(np.abs(logits).max()) / 2  # probabilities of 0 and 1 would prove little
    module.write(path / file, replace(model, about={"temperature": temperature}), *kernels)
    np.testing.assert_allclose(module.predict(path / file, pixels), softmax(logits, temperature), rtol=0, atol=atol)


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx(name: str, tmp_path: Path) -> None:
    check("onnx", "model.onnx", random_model(name, OPTIONS[name]), tmp_path)


@pytest.mark.parametrize(("kernels", "atol"), [("float16", 1e-3), ("int8", 0.02)])
@pytest.mark.parametrize("name", NETWORKS)
def test_web(name: str, kernels: str, atol: float, tmp_path: Path) -> None:
    check("web", "model.onnx.gz", random_model(name, OPTIONS[name]), tmp_path, kernels, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_keras(name: str, tmp_path: Path) -> None:
    check("keras", "model.keras", random_model(name, OPTIONS[name]), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_litert(name: str, tmp_path: Path) -> None:
    check("litert", "model.tflite", random_model(name, OPTIONS[name]), tmp_path)


@pytest.mark.parametrize("format", ["keras", "litert", "onnx"])
def test_adaptive_average_pool_over_windows_that_overlap(format: str, tmp_path: Path) -> None:
    model = random_model("alexnet-owt", {"input_size": 290, "fc_units": 8})
    step = next(step for step in model.network.steps() if step.layer.name == "avgpool")
    assert step.input_shape[:2] == (8, 8)
    check(format, {"keras": "m.keras", "litert": "m.tflite", "onnx": "m.onnx"}[format], model, tmp_path)
