"""safetensors, the native format: a JSON header, then the tensors; no code in it.

Format: https://huggingface.co/docs/safetensors#format. A file that finetune writes describes itself under one metadata
key. Files are written here and not by the library, whose `save_file` silently writes a transposed view wrongly.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from finetune.errors import WeightsError
from finetune.formats.untrusted_text import reason, shown
from finetune.formats.weights_file import Array, WeightsFile, new_weights_file
from finetune.system.digest import sha256_of_array
from finetune.system.mapped import map_file, pieces, release

METADATA_KEY = "finetune"  # its value is JSON: network, options, preprocessing, class_names, …

_MAX_HEADER = 8 << 20  # bytes; ImageNet-21k's class names take less than 2 MB
_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64"}


def read_safetensors(path: Path) -> WeightsFile:
    """Return the tensors as views of the mapped file, in the file's order, and the file's description of itself.

    Raises WeightsError for a damaged file, another dtype, and a description that is not one of a network.
    """
    data = map_file(path)
    header, start = _header(path, data[:8], len(data))
    try:
        # The library checks the header against the file: offsets, gaps, overlaps, sizes. It would also copy each
        # tensor while the file is mapped: a peak of 2.0 times the file's size, where views take 1.0.
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            names = file.offset_keys()
        entries = json.loads(data[8:start])
    except (SafetensorError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path.name}: its safetensors header of {header:,} bytes does not describe its {len(data):,} bytes "
            f"({reason(error)}): the file is truncated or damaged; get a new copy"
        ) from None
    description = _description(path, metadata.get(METADATA_KEY, "{}"))
    tensors = {name: _view(path, memoryview(data)[start:], name, entries[name]) for name in names}
    return WeightsFile(path, "safetensors", tensors, network=description.get("network"), metadata=description)


def tensor_digests(path: Path) -> dict[str, str]:
    """Return tensor -> SHA-256 of its values in a safetensors file; only one tensor at a time is in memory."""
    digests = {}
    for name, tensor in read_safetensors(path).tensors.items():
        digests[name] = sha256_of_array(tensor)
        release(tensor)
    return digests


def write_safetensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, Any] | None = None) -> None:
    """Write `tensors` in the given order, and `metadata` as JSON; the file appears whole or not at all.

    Transposed views are written piece by piece and never copied as a whole. Raises WeightsError for a tensor that is
    not bfloat16, float16, float32 or float64, and when the disk or the folder refuses.
    """
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: json.dumps(metadata)}} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        if tensor.dtype.name not in _DTYPES:
            raise WeightsError(f"{path.name}: {name} is {tensor.dtype.name}; expected one of {', '.join(_DTYPES)}")
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": _DTYPES[tensor.dtype.name], "shape": tensor.shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format requires that the tensors start at a multiple of 8 bytes
    with new_weights_file(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            for piece in pieces(tensor):
                file.write(piece)


def _header(path: Path, first: bytes, size: int) -> tuple[int, int]:
    """Return the header's length and where it ends; refuse a length that the file cannot have."""
    length = int.from_bytes(first, "little")
    if length > min(size - 8, _MAX_HEADER):
        raise WeightsError(
            f"{path.name}: its safetensors header claims {length:,} bytes; expected at most {_MAX_HEADER:,}, and no "
            f"more than the file's {size:,}: the file is truncated or damaged; get a new copy"
        )
    return length, 8 + length


def _description(path: Path, text: str) -> dict[str, Any]:
    """Return the description in a file that finetune wrote."""
    try:
        description = json.loads(text)
    except (ValueError, RecursionError):
        description = None
    if not isinstance(description, dict) or not isinstance(description.get("network", ""), str):
        raise WeightsError(
            f"{path.name}: its metadata {METADATA_KEY!r} does not describe a network; write the file again"
        )
    return description


def _view(path: Path, data: memoryview, name: str, entry: Mapping[str, Any]) -> Array:
    known = {code: dtype for dtype, code in _DTYPES.items()}
    if entry["dtype"] not in known:
        raise WeightsError(
            f"{path.name}: {shown(name)} is {entry['dtype']}; expected one of {', '.join(known)}; choose another file"
        )
    start, end = entry["data_offsets"]
    return np.frombuffer(data[start:end], _dtype(known[entry["dtype"]])).reshape(entry["shape"])


def _dtype(name: str) -> np.dtype[Any]:
    # NumPy has no bfloat16; ml_dtypes does.
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(f"<f{np.dtype(name).itemsize}")
