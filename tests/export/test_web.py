"""The export to the web: the model in ONNX Runtime, and the folder; in a browser in `test_web_in_browser.py`."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.exports import CLASSES, stand_in_runtime

from finetune.choices import ExportFormat
from finetune.errors import UsageError
from finetune.export.export import export
from finetune.export.export_folder import ABOUT, PAGE, RUNTIME

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.tensorflow


def probabilities(file: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(gzip.decompress(file.read_bytes()), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"pixels": pixels})
    return found


def stored_types(file: Path) -> dict[str, int]:
    """Return the type in which each kernel is stored."""
    graph = onnx.load_from_string(gzip.decompress(file.read_bytes())).graph
    return {value.name: value.data_type for value in graph.initializer if "kernel" in value.name}


def test_folder_and_probabilities(
    weights: Path, tmp_path: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float64]
) -> None:
    done = export(str(weights), "web", tmp_path / "out", runtime=stand_in_runtime(tmp_path / "dist"))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"README.md", "classes.txt", "model.onnx.gz", ABOUT, *PAGE, *RUNTIME}
    about = json.loads((tmp_path / "out" / ABOUT).read_text(encoding="utf-8"))
    assert about["classes"] == list(CLASSES)
    assert about["preprocessing"]["size"] == 67
    found = probabilities(tmp_path / "out/model.onnx.gz", pixels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)  # kernels have 11 significant bits
    assert done.difference < 1e-3
    assert done.loss is None
    assert set(stored_types(tmp_path / "out/model.onnx.gz").values()) == {onnx.TensorProto.FLOAT16}


def test_32_bits_where_16_are_not_enough(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.export.export.WEB_TOLERANCE", 5e-6)
    done = export(str(weights), "web", tmp_path / "out", runtime=stand_in_runtime(tmp_path / "dist"))
    assert done.difference < 5e-6
    assert set(stored_types(tmp_path / "out/model.onnx.gz").values()) == {onnx.TensorProto.FLOAT}


def test_8_bits(weights: Path, tmp_path: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float64]) -> None:
    runtime = stand_in_runtime(tmp_path / "dist")
    done = export(str(weights), "web-int8", tmp_path / "out", runtime=runtime)
    found = probabilities(tmp_path / "out/model.onnx.gz", pixels)
    assert 1e-6 < np.abs(found - expected).max() < 0.02
    assert 1e-6 < done.difference < 0.02
    types = stored_types(tmp_path / "out/model.onnx.gz")
    assert len(types) == 16, "8 kernels, each with a scale"
    assert {kind for name, kind in types.items() if name.endswith("int8")} == {onnx.TensorProto.INT8}
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert f"differed from those of `finetune predict` by at most {done.difference:.1e}" in card


def test_8_bits_measured_on_images(weights: Path, photos: list[Path], tmp_path: Path) -> None:
    runtime = stand_in_runtime(tmp_path / "dist")
    done = export(str(weights), "web-int8", tmp_path / "out", data=photos[0].parent, runtime=runtime)
    assert done.loss is not None
    assert done.loss.images == 2, "every other image; the rest would calibrate, which weights do not need"
    assert done.loss.difference < 0.02
    assert "8 bits compared with float32 on 2 images" in (tmp_path / "out/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("format", ["web", "web-int8"])
def test_the_same_model_is_the_same_bytes(format: ExportFormat, weights: Path, tmp_path: Path) -> None:
    runtime = stand_in_runtime(tmp_path / "dist")
    files = []
    for name in "ab":
        export(str(weights), format, tmp_path / name, runtime=runtime)
        files.append((tmp_path / name / "model.onnx.gz").read_bytes())
    assert files[0] == files[1]


def test_an_older_export_is_replaced_and_nothing_else(weights: Path, tmp_path: Path) -> None:
    runtime = stand_in_runtime(tmp_path / "dist")
    export(str(weights), "web", tmp_path / "out", runtime=runtime)
    export(str(weights), "web-int8", tmp_path / "out", runtime=runtime, overwrite=True)
    assert "web browsers, 8 bits" in (tmp_path / "out/README.md").read_text(encoding="utf-8")


def test_wrong_usage(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--runtime is only for web and web-int8, not for onnx; omit it"):
        export(str(weights), "onnx", tmp_path / "out", runtime=tmp_path)
    with pytest.raises(UsageError, match="--data is only for litert-int8 and web-int8, not for web; omit it"):
        export(str(weights), "web", tmp_path / "out", data=tmp_path)
    with pytest.raises(UsageError, match=r"--to web needs onnxruntime-web, 1\.19 or newer"):
        export(str(weights), "web", tmp_path / "out")
    assert not (tmp_path / "out").exists()
