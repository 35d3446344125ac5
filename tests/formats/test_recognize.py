"""The format of a weights file by its content, and what other files are."""

import pickle
import zipfile
from pathlib import Path

import pytest
from support.weights_bytes import FLOATS, blob, field, layer

from finetune.errors import WeightsError
from finetune.formats.recognize import recognize

KNOWN = r"\(\.safetensors, \.npy, \.npz, \.caffemodel, \.onnx, \.pth, \.h5, \.keras or TensorFlow's \.ckpt\)"


def written(folder: Path, content: bytes) -> Path:
    """A file whose name says nothing."""
    path = folder / "weights.bin"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("members", "format"),
    [
        (["archive/data.pkl", "archive/version", "archive/data/0"], "pytorch"),
        (["alexnet/.format_version", "alexnet/data.pkl", "alexnet/constants.npy"], "pytorch"),
        (["metadata.json", "config.json", "model.weights.h5"], "keras"),
        (["fc8/kernel.npy"], "npz"),
    ],
    ids=["pth", "pth with more", "keras", "npz"],
)
def test_zip_archives_by_their_members(members: list[str], format: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "weights.bin", "w") as archive:
        for member in members:
            archive.writestr(member, b"")
    assert recognize(tmp_path / "weights.bin") == format


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"\x93NUMPY\x01\x00", "npy"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, 2), "pytorch"),
        (b"\x89HDF\r\n\x1a\n", "keras"),
        (b"\x10\0\0\0\0\0\0\0{}", "safetensors"),
        (b"\x08\x08\x12\x07pytorch:", "onnx"),
        (field(1, "AlexNet") + layer("fc8", "InnerProduct", blob(FLOATS)), "caffemodel"),
    ],
    ids=["npy", "pth before PyTorch 1.6", "h5", "safetensors", "onnx", "caffemodel"],
)
def test_other_formats_by_their_first_bytes(head: bytes, format: str, tmp_path: Path) -> None:
    assert recognize(written(tmp_path, head + bytes(100))) == format


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "a JPEG image"),
        (b"<!DOCTYPE html>", "a web page; download the file itself"),
        (b"<html>", "a web page; download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer; fetch the file itself with git lfs pull"),
        (b"\x1f\x8b\x08", "a gzip file; unpack it first"),
        (b'name: "AlexNet"', "a text file like Caffe's .prototxt, which has no weights"),
        (
            pickle.dumps([1]),
            "a bare Python pickle, which can run code and is never read; save its arrays with np.savez",
        ),
    ],
)
def test_other_kinds_are_named(content: bytes, kind: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"^weights\.bin: expected a weights file {KNOWN}, but it is {kind}$"):
        recognize(written(tmp_path, content))


def test_an_unknown_file_shows_its_first_bytes(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="its first bytes, 67 69 62 62 65 72 69 73, belong to none of these formats"):
        recognize(written(tmp_path, b"gibberish"))


def test_a_zip_archive_without_weights(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "weights.bin", "w") as archive:
        archive.writestr("notes.txt", b"")
    with pytest.raises(WeightsError, match=r"a zip archive without weights; expected members \*\.npy \(\.npz\)"):
        recognize(tmp_path / "weights.bin")
