"""The content decides which reader a file gets, whatever its name."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.weights_bytes import FLOATS, TENSORS, blob, field, layer, v1_layer

from finetune.errors import WeightsError
from finetune.formats import read_weights as read
from finetune.formats.npy_file import write_npy
from finetune.formats.npz_file import write_npz
from finetune.formats.read_weights import read_weights
from finetune.formats.safetensors_file import write_safetensors


@pytest.mark.parametrize(
    ("write", "form"),
    [(write_npy, "npy"), (write_npz, "npz"), (write_safetensors, "safetensors")],
)
@pytest.mark.parametrize("name", ["w.npy", "w.npz", "w.caffemodel", "w.safetensors", "w.pth", "w.h5", "w"])
def test_our_own_files_read_under_any_name(write: Any, form: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(path, TENSORS)
    file = read_weights(path)
    assert (file.path, file.format) == (path, form)
    assert list(file.tensors) == list(TENSORS)
    for key, tensor in TENSORS.items():
        np.testing.assert_array_equal(file.tensors[key], tensor, strict=True)


@pytest.mark.parametrize(
    "start",
    [field(1, "AlexNet"), field(3, "data"), b""],
    ids=["begins with its name", "begins with its input", "begins with a layer"],
)
@pytest.mark.parametrize(
    "one",
    [layer("fc8", "InnerProduct", blob(FLOATS)), v1_layer("fc8", 14, blob(FLOATS, legacy=True))],
    ids=["new", "V1"],
)
def test_caffe_models_are_known_by_their_first_field(start: bytes, one: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.npy"
    path.write_bytes(start + one)
    file = read_weights(path)
    assert (file.format, file.layers()) == ("caffemodel", ["fc8"])


@pytest.mark.parametrize(
    ("format", "module", "function"),
    [
        ("npy", "npy_file", "read_npy"),
        ("npz", "npz_file", "read_npz"),
        ("keras", "keras_file", "read_keras"),
        ("pytorch", "pytorch_file", "read_pytorch"),
        ("safetensors", "safetensors_file", "read_safetensors"),
        ("onnx", "onnx_file", "read_onnx"),
        ("caffemodel", "caffemodel", "read_caffemodel"),
    ],
)
def test_each_format_has_its_reader(
    format: str, module: str, function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "recognize", lambda path: format)
    monkeypatch.setattr(f"finetune.formats.{module}.{function}", lambda path: read.WeightsFile(path, module, TENSORS))
    assert read_weights(tmp_path / "weights.bin").format == module


def test_a_missing_file_and_one_that_is_not_regular(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"^missing.npy: cannot be read \(No such file or directory\); check the path /"
    ):
        read_weights(tmp_path / "missing.npy")
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(
            WeightsError, match=rf"^{path.name}: expected a weights file, but it is not a regular file; pass a file"
        ):
            read_weights(path)


@pytest.mark.parametrize("form", ["npy", "npz", "safetensors", "caffemodel"])
def test_a_file_cut_or_changed_anywhere_is_one_line_or_reads(form: str, tmp_path: Path) -> None:
    path, tensors = tmp_path / "weights.bin", {"fc8/kernel": FLOATS, "fc8/bias": FLOATS[0]}
    if form == "caffemodel":
        path.write_bytes(field(1, "AlexNet") + layer("fc8", "InnerProduct", blob(FLOATS), blob(FLOATS[0])))
    else:
        {"npy": write_npy, "npz": write_npz, "safetensors": write_safetensors}[form](path, tensors)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError) as caught:
            read_weights(path)
        assert str(caught.value).isprintable()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 1000):
        changed = bytearray(whole)
        changed[position] = rng.integers(256)
        path.write_bytes(changed)
        with contextlib.suppress(WeightsError):
            read_weights(path)


def test_a_conversion_there_and_back_keeps_every_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {
        "fc8/kernel": rng.standard_normal((7, 5), np.float32),
        "fc8/bias": np.array([np.nan, np.inf, -0.0, 1e-45, 1], np.float32),
    }
    write_npy(tmp_path / "1", tensors)
    write_safetensors(tmp_path / "2", read_weights(tmp_path / "1").tensors)
    write_npz(tmp_path / "3", read_weights(tmp_path / "2").tensors)
    for name, tensor in read_weights(tmp_path / "3").tensors.items():
        assert tensor.tobytes() == tensors[name].tobytes()
