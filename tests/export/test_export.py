"""`export`: what is written, read back, compared and kept."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.exports import CLASSES

from finetune.choices import ExportFormat
from finetune.classifier import load
from finetune.data.preprocessing import Preprocessing
from finetune.errors import RunError
from finetune.export.export import export, synthetic_images
from finetune.formats.read_weights import read_weights
from finetune.pretrained.load import load_weights

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.tensorflow
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


def test_the_card_has_the_preprocessing_as_json(weights: Path, tmp_path: Path) -> None:
    export(str(weights), "npy", tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    (line,) = (line for line in card.splitlines() if line.startswith("    {"))
    assert Preprocessing.from_json(json.loads(line)) == load(str(weights)).model.network.preprocessing
    assert (tmp_path / "out/classes.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)


def test_folders_by_default(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "models" / "my.model.safetensors"
    file.parent.mkdir()
    file.write_bytes(weights.read_bytes())
    assert export(str(file), "npy").folder == tmp_path / "models" / "my.model-npy"
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    (run / "model.safetensors").write_bytes(weights.read_bytes())
    with pytest.raises(RunError, match=r"has no classes\.txt"):  # which the card needs, and nothing is left
        export(str(run), "npy")
    assert [path.name for path in run.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize(("resize_to", "size"), [(256, 227), (10, 5)])
def test_synthetic_images_are_larger_and_smaller_than_the_input(resize_to: int, size: int) -> None:
    """And not square, so that cropping matters; never less than 8 pixels."""
    files = synthetic_images(Preprocessing(size=size, mean=(0, 0, 0), resize_to=resize_to))
    shapes = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR).shape for file in files]
    expected = [[(425, 340), (170, 136), (709, 567), (170, 136)], [(9, 8), (8, 8), (15, 12), (8, 8)]][size == 5]
    assert shapes == [(*shape, 3) for shape in expected]
    assert [file[1:4] for file in files] == [b"PNG", b"PNG", b"\xd8\xff\xe0", b"\xd8\xff\xe0"]
