"""The example code of the model cards, run unchanged in the folder of the export."""

import contextlib
import io
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.choices import ExportFormat
from finetune.classifier import load
from finetune.data.network_input import to_input
from finetune.export.export import export
from finetune.export.usage import usage
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # in code for people


def python_code(text: str) -> str:
    """Return the indented lines from the first import on."""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    start = next(i for i, line in enumerate(lines) if line.startswith(("import ", "from ")))
    return "\n".join(lines[start:])


def run_example(format: ExportFormat, ref: Path, photo: Path, monkeypatch: pytest.MonkeyPatch, out: Path) -> str:
    """Return what the example prints in an export's folder that also has photo.jpg."""
    model = load(ref).model
    export(str(ref), format, out)
    shutil.copy(photo, out / "photo.jpg")
    monkeypatch.chdir(out)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(python_code(usage(format, model)), {})
    return printed.getvalue()


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "format",
    ["litert", "onnx", "keras", pytest.param("saved_model", marks=pytest.mark.slow)],
)
def test_example_prints_the_class_of_predict(
    format: ExportFormat, weights: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = run_example(format, weights, photos[0], monkeypatch, tmp_path / "out")
    *label, probability = re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines()[-1].split()
    (prediction,) = load(weights).predict([photos[0]])
    assert " ".join(label) == prediction.scores[0].label
    # Pillow resizes differently.
    assert float(probability) == pytest.approx(prediction.scores[0].probability, abs=0.05)


def test_example_of_npy(weights: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(weights).model
    export(str(weights), "npy", tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    names: dict[str, np.ndarray] = {}
    text = usage("npy", model)
    exec(python_code(text), names)
    assert text.count("# 11×11×3×96") == 1
    assert names["kernel"].shape == (11, 11, 3, 96)
    np.testing.assert_array_equal(names["bias"], model.weights["conv1/bias"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # 5 of 77 pixels are cut off at each end; bleed is a fraction of the image.
        ({"resize_to": 77}, "ImageOps.fit(image, (67, 67), Image.Resampling.BILINEAR, bleed=0.0649), np.uint8)"),
        ({"resize_to": 67}, "ImageOps.fit(image, (67, 67), Image.Resampling.BILINEAR), np.uint8)"),
        ({"resize": "warp"}, "image.resize((67, 67), Image.Resampling.BILINEAR), np.uint8)"),
        ({"resize": "warp", "interpolation": "linear"}, "    box = (0, 0, *image.size)\n    pixels"),
        ({"interpolation": "linear"}, "image.transform((67, 67), Image.Transform.EXTENT, box, "),
    ],
)
def test_resizing_in_the_example(change: dict[str, object], expected: str, tiny_model: Model) -> None:
    network = tiny_model.network
    changed = replace(network, preprocessing=replace(network.preprocessing, **change))  # type: ignore[arg-type]
    text = usage("onnx", replace(tiny_model, network=changed))
    assert expected in text
    assert '.convert("RGB")' in text


@pytest.mark.parametrize(("change", "most"), [({"resize": "warp"}, 1), ({"resize": "crop"}, 12)])
def test_the_example_interpolates_as_the_network_does(
    change: dict[str, object], most: int, tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounding apart and, for a crop, half a pixel of its place; averages of the noise would differ by 200."""
    preprocessing = replace(tiny_model.network.preprocessing, interpolation="linear", **change)  # type: ignore[arg-type]
    changed = replace(tiny_model, network=replace(tiny_model.network, preprocessing=preprocessing))
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (231, 300, 3), np.uint8)
    if change["resize"] == "crop":
        image = cv2.resize(image[:5, :7], (300, 231), interpolation=cv2.INTER_CUBIC)  # type: ignore[assignment]
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", image)
    names: dict[str, np.ndarray] = {}
    code = python_code(usage("onnx", changed)).replace("photo.jpg", "photo.png")
    exec(code[code.index("import numpy") : code.index("session =")], names)
    expected = to_input(image, preprocessing)[..., ::-1].astype(int)
    assert np.abs(names["pixels"][0] - expected).max() <= most


def test_the_example_lays_transparency_over_white(
    tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `predict` does; what a program left in transparent pixels, here black, is not shown."""
    monkeypatch.chdir(tmp_path)
    image = np.zeros((80, 80, 4), np.uint8)
    image[:40] = (200, 100, 50, 255)
    cv2.imwrite("photo.png", image)
    names: dict[str, np.ndarray] = {}
    code = python_code(usage("onnx", tiny_model)).replace("photo.jpg", "photo.png")
    exec(code[code.index("import numpy") : code.index("session =")], names)
    (pixels,) = names["pixels"]
    assert pixels[0, 0].tolist() == [50, 100, 200]
    assert pixels[-1, -1].tolist() == [255, 255, 255]


@pytest.mark.tensorflow
def test_example_for_gray(tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    network = build("alexnet-mnist", {"num_classes": 4, "fc_units": 16})
    model = Model(network, fresh_weights(network, tuple(network.weighted_layers()), seed=1), tuple("abcd"))
    save_model(tmp_path / "gray.safetensors", model)
    assert "pixels (batch, 28, 28, 1), gray" in usage("onnx", model)
    printed = run_example("onnx", tmp_path / "gray.safetensors", photos[0], monkeypatch, tmp_path / "out")
    (prediction,) = load(tmp_path / "gray.safetensors").predict([photos[0]])
    assert printed.split()[0] == prediction.scores[0].label


def test_int8_says_what_is_rounded(tiny_model: Model) -> None:
    assert usage("litert-int8", tiny_model).startswith("Weights and activations are int8")
    assert usage("litert-int8", tiny_model).endswith(usage("litert", tiny_model))
