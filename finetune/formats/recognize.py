"""Which format a weights file has, by its content and never its extension; other kinds of files are refused by name."""

import mmap
import struct
import zipfile
from pathlib import Path
from typing import Literal

from finetune.errors import WeightsError
from finetune.formats.tf_checkpoint import TABLE_END
from finetune.system.mapped import map_file

WeightsFormat = Literal["npy", "npz", "keras", "pytorch", "safetensors", "onnx", "caffemodel", "tf_checkpoint"]

_KNOWN = ".safetensors, .npy, .npz, .caffemodel, .onnx, .pth, .h5, .keras or TensorFlow's .ckpt"

_HDF5 = b"\x89HDF\r\n\x1a\n"
_TORCH_STREAM = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickled magic number of torch.save before 1.6

# Protocol buffers have no signature, but are written in the order of their field numbers.
_ONNX = b"\x08"  # ModelProto: 1 ir_version, an integer
_CAFFE = (b"\x0a", b"\x12", b"\x1a", b"\xa2\x06")  # NetParameter: 1 name, 2 layers, 3 input, 100 layer; no integers

_MAX_DIRECTORY = 4 << 20  # bytes of a zip's directory: weights need thousands, and zipfile ten times as much memory

# Other files that people pass as weights, by their first bytes.
_OTHER_KINDS = {
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"<!doctype": "a web page; download the file itself",
    b"<html": "a web page; download the file itself",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file itself with git lfs pull",
    b"\x1f\x8b": "a gzip file; unpack it first",
    b"name:": "a text file like Caffe's .prototxt, which has no weights",
    b"\x80": "a bare Python pickle, which can run code and is never read; save its arrays with np.savez",
}


def recognize(path: Path) -> WeightsFormat:
    """Return the format of a weights file; raise WeightsError for any other file, which says what it is instead."""
    data = map_file(path)
    head = data[:64]
    if data[-len(TABLE_END) :] == TABLE_END:
        return "tf_checkpoint"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK"):
        return _recognize_zip(path, data)
    if head.startswith(_HDF5):
        return "keras"
    if head.startswith(_TORCH_STREAM):
        return "pytorch"
    if head[8:9] == b"{":  # after the header's length
        return "safetensors"
    if head.startswith(_ONNX):
        return "onnx"
    if head.startswith(_CAFFE):
        return "caffemodel"
    raise _another_kind(path, head)


def _recognize_zip(path: Path, data: mmap.mmap) -> WeightsFormat:
    """Return whether a zip archive is an .npz, .pth or .keras, which differ in the names of their members."""
    _check_directory(path, data)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error):
        raise _truncated(path) from None
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "pytorch"
    if "model.weights.h5" in names:
        return "keras"
    if any(name.endswith(".npy") for name in names):
        return "npz"
    raise WeightsError(
        f"{path.name}: a zip archive without weights; expected members *.npy (.npz), data.pkl (.pth) or "
        "model.weights.h5 (.keras); unpack it, or choose another file"
    )


def _check_directory(path: Path, data: mmap.mmap) -> None:
    """Refuse a zip archive whose directory is larger than weights need; `zipfile` would read all of it."""
    end = data.rfind(b"PK\5\6", max(0, len(data) - 65_557))  # 22 bytes and a comment of up to 65,535
    large = data.rfind(b"PK\6\6", max(0, len(data) - 65_633))  # zip64: 56 and 20 bytes more
    if end < 0 or len(data) - end < 22:
        raise _truncated(path)
    size: int = struct.unpack_from("<I", data, end + 12)[0]
    if size == 0xFFFFFFFF and 0 <= large <= end - 56:
        size = struct.unpack_from("<Q", data, large + 40)[0]
    if size > min(_MAX_DIRECTORY, len(data)):
        raise WeightsError(
            f"{path.name}: refused: a zip directory of {size:,} bytes; expected at most {_MAX_DIRECTORY:,}, and no "
            "more than the file has; choose another file"
        )


def _truncated(path: Path) -> WeightsError:
    return WeightsError(f"{path.name}: its zip archive (.npz, .pth or .keras) is truncated or damaged; get a new copy")


def _another_kind(path: Path, head: bytes) -> WeightsError:
    for start, kind in _OTHER_KINDS.items():
        if head.lower().startswith(start.lower()):
            return WeightsError(f"{path.name}: expected a weights file ({_KNOWN}), but it is {kind}")
    return WeightsError(
        f"{path.name}: expected a weights file ({_KNOWN}), but its first bytes, {head[:8].hex(' ')}, belong to none of "
        "these formats; choose another file"
    )
