"""safetensors, the native format: a JSON header, then the tensors; no code in it.

Format: https://huggingface.co/docs/safetensors#format. A file of our own says what it is under one metadata key.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from finetune.errors import WeightsError
from finetune.formats.mapped import map_file, pieces, replacing
from finetune.formats.weights_file import Array, WeightsFile

METADATA_KEY = "finetune"  # holds JSON: network, options, preprocessing, class_names, …

_MAX_HEADER = 8 << 20  # bytes; ImageNet-21k's class names take less than 2 MB
_PIECE = 1 << 20  # bytes that are hashed at a time
_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64"}


def read_safetensors(path: Path) -> WeightsFile:
    """Return the tensors as views of the mapped file, in the file's order, and what the file says of itself."""
    data = map_file(path)
    header, start = _header(path, data[:8], len(data))
    try:
        # The library checks the header against the file: offsets, gaps, overlaps, sizes. The tensors are taken here,
        # because it copies each beside the mapped file: a peak of 2.0 times the file, where views take 1.0.
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            names = file.offset_keys()
        entries = json.loads(data[8:start])
    except (SafetensorError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path.name}: its safetensors header of {header:,} bytes does not describe its {len(data):,} bytes "
            f"({_one_line(error)}): truncated or damaged; get the file again"
        ) from None
    described = _description(path, metadata.get(METADATA_KEY, "{}"))
    tensors = {name: _view(path, memoryview(data)[start:], name, entries[name]) for name in names}
    return WeightsFile(path, "safetensors", tensors, network=described.get("network"), metadata=described)


def tensor_digests(path: Path) -> dict[str, str]:
    """Return tensor -> SHA-256 of its bytes in the file; read in pieces, so that it takes no memory."""
    digests = {}
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, end = entry["data_offsets"]
            file.seek(8 + length + start)
            digest = hashlib.sha256()
            for at in range(start, end, _PIECE):
                digest.update(file.read(min(_PIECE, end - at)))
            digests[name] = digest.hexdigest()
    return digests


def write_safetensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, Any] | None = None) -> None:
    """Write `tensors` in the given order, and `metadata` as JSON; the file appears whole or not at all.

    Transposed views are written piece by piece and never copied whole. Raises WeightsError for a tensor that is not
    bfloat16, float16, float32 or float64, and for a disk that is full.
    """
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: json.dumps(metadata)}} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        if tensor.dtype.name not in _DTYPES:
            raise WeightsError(f"{path.name}: {name} is {tensor.dtype.name}; expected one of {', '.join(_DTYPES)}")
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": _DTYPES[tensor.dtype.name], "shape": tensor.shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors start at a multiple of 8 bytes, as the format asks
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            for piece in pieces(tensor):
                file.write(piece)


def _header(path: Path, first: bytes, size: int) -> tuple[int, int]:
    """Return the header's length and where it ends, or refuse a length that cannot be."""
    length = int.from_bytes(first, "little")
    if length > min(size - 8, _MAX_HEADER):
        raise WeightsError(
            f"{path.name}: its safetensors header claims {length:,} bytes, but the file has {size:,} and a header at "
            f"most {_MAX_HEADER:,}: truncated or damaged; get the file again"
        )
    return length, 8 + length


def _description(path: Path, text: str) -> dict[str, Any]:
    """Return what a file of our own says of itself."""
    try:
        described = json.loads(text)
    except (ValueError, RecursionError):
        described = None
    if not isinstance(described, dict) or not isinstance(described.get("network", ""), str):
        raise WeightsError(f"{path.name}: its metadata {METADATA_KEY!r} is no description of a network; write it again")
    return described


def _view(path: Path, data: memoryview, name: str, entry: Mapping[str, Any]) -> Array:
    known = {code: dtype for dtype, code in _DTYPES.items()}
    if entry["dtype"] not in known:
        raise WeightsError(
            f"{path.name}: {ascii(name[:100])[1:-1]} is {entry['dtype']}; weights are one of {', '.join(known)}"
        )
    start, end = entry["data_offsets"]
    return np.frombuffer(data[start:end], _dtype(known[entry["dtype"]])).reshape(entry["shape"])


def _dtype(name: str) -> np.dtype[Any]:
    # NumPy has no bfloat16 of its own; ml_dtypes comes with TensorFlow.
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(f"<f{np.dtype(name).itemsize}")


def _one_line(error: Exception) -> str:
    return " ".join(ascii(str(error))[1:-1].split())[:120]
