"""PyTorch's .pth files, read without torch.

torch.save has two forms: a zip archive since PyTorch 1.6 (`data.pkl` and one stored entry per storage), and before that
a stream (five pickles, then the storages one after the other). Sources: torch/serialization.py and torch/_utils.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from finetune.errors import WeightsError
from finetune.formats.entries import entries
from finetune.formats.safe_pickle import load_pickle, ordered_dict
from finetune.formats.stored_zip import StoredZip
from finetune.formats.tensor_names import is_weight
from finetune.formats.untrusted_text import listed, shown
from finetune.formats.weights_file import Array, WeightsFile
from finetune.system.mapped import map_file
from finetune.system.text import shape_text

_STREAM_MAGIC = 0x1950A86A20F9469CFC6C  # MAGIC_NUMBER of torch/serialization.py


@dataclass(frozen=True)
class _StorageType:
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class _Storage:
    """A run of `count` numbers; its place in the file is known only after the pickle is read."""

    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pytorch(path: Path) -> WeightsFile:
    """Return the tensors of state dicts that torch.save wrote, as views of the mapped file, under the file's names.

    A state dict may be in other dictionaries. Kernels get this package's axis order. Raises WeightsError for damaged
    files and pickles that ask for anything but tensors; nothing in the file is ever run.
    """
    data = memoryview(map_file(path))
    value, content = (_read_zip if bytes(data[:2]) == b"PK" else _read_stream)(path, data)
    tensors, others = {}, []
    for name, tensor in entries(path.name, value):
        if isinstance(tensor, _Tensor) and is_weight(name):
            array = _array(path.name, name, tensor, content(tensor.storage))
            tensors[name] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        else:
            others.append(name)
    if not tensors:
        raise WeightsError(
            f"{path.name}: expected a state dict of tensors, but it has {listed(others) or 'none'}; save it with "
            "torch.save(model.state_dict(), …)"
        )
    return WeightsFile(path, "pytorch", tensors, channel_first=True, others=tuple(others))


def _array(name: str, key: str, tensor: _Tensor, data: memoryview) -> Array:
    """Return the array that a tensor describes, as a view of its storage's bytes."""
    dtype, rank = tensor.storage.dtype, len(tensor.shape)
    if dtype.kind in "iu" or (key.endswith("bias") and rank != 1):
        raise WeightsError(
            f"{name}: {shown(key)} is {dtype} with {rank} dimensions; expected floating-point kernels of convolutions "
            "(4 dimensions) and linear layers (2), and biases (1); save a state dict that is not quantised"
        )
    last = tensor.offset + sum(
        (length - 1) * stride for length, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    # The product is checked because strides of 0 could turn one number into a billion.
    if 0 in tensor.shape or last >= tensor.storage.count or prod(tensor.shape) > tensor.storage.count:
        raise WeightsError(
            f"{name}: {shown(key)} claims {shape_text(tensor.shape)} numbers, but its storage has "
            f"{tensor.storage.count:,}; get a new copy of the file"
        )
    size = dtype.itemsize
    strides = tuple(stride * size for stride in tensor.strides)
    return np.ndarray(tensor.shape, dtype, buffer=data, offset=tensor.offset * size, strides=strides)


def _read_zip(path: Path, data: memoryview) -> tuple[Any, Callable[[_Storage], memoryview]]:
    """Return the value in `data.pkl`, and a function that returns the bytes of a storage."""
    name, entries = path.name, StoredZip(path, data)
    pickles = [entry for entry in entries if entry.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise WeightsError(
            f"{name}: expected a zip archive that torch.save wrote, with one data.pkl, but it has {len(pickles)}; "
            "choose another file"
        )
    folder = pickles[0].removesuffix("data.pkl")
    if bytes(entries.get(f"{folder}byteorder", b"little")) != b"little":
        raise WeightsError(
            f"{name}: its numbers are not little-endian; load it and save it again on a little-endian machine"
        )
    value, _ = load_pickle(name, entries[pickles[0]], _ADMITTED, _storage)

    def content(storage: _Storage) -> memoryview:
        if f"{folder}data/{storage.key}" not in entries:
            raise WeightsError(
                f"{name}: its archive lacks the storage {shown(storage.key)}; get a new copy of the file"
            )
        found = entries[f"{folder}data/{storage.key}"]
        if len(found) != storage.count * storage.dtype.itemsize:
            raise _wrong_size(name, storage, len(found))
        return found

    return value, content


def _read_stream(path: Path, data: memoryview) -> tuple[Any, Callable[[_Storage], memoryview]]:
    """Return the value of the stream's fourth pickle, and a function that returns the bytes of a storage."""
    name, storages = path.name, dict[str, _Storage]()

    def remember(identifier: Any) -> _Storage:
        storage = _storage(identifier)
        return storages.setdefault(storage.key, storage)

    values, position = [], 0
    for _ in range(5):  # magic number, protocol, system, the state dict, the keys of the storages in their order
        value, length = load_pickle(name, data[position:], _ADMITTED, remember)
        values.append(value)
        position += length
        if values[0] != _STREAM_MAGIC:
            raise WeightsError(
                f"{name}: expected a .pth that torch.save wrote, but it begins as another format does; choose another "
                "file"
            )
    _, protocol, system, state, keys = values
    if protocol != 1001 or not isinstance(system, dict) or not isinstance(keys, list):
        raise WeightsError(f"{name}: expected version 1001 of PyTorch's stream; load it with PyTorch and save it again")
    if not system.get("little_endian", system.get(b"little_endian")):
        raise WeightsError(
            f"{name}: its numbers are not little-endian; load it and save it again on a little-endian machine"
        )
    places = _places(name, data[position:], keys, storages)

    def content(storage: _Storage) -> memoryview:
        if storage.key not in places:
            raise WeightsError(f"{name}: its tensors use a storage that it does not list; get a new copy of the file")
        return places[storage.key]

    return state, content


def _places(name: str, data: memoryview, keys: list[Any], storages: Mapping[str, _Storage]) -> dict[str, memoryview]:
    """Return key -> bytes of the storages that end a stream: for each key, its count in 8 bytes, then the numbers."""
    found = {}
    for key in map(_text, keys):
        if key not in storages:
            raise WeightsError(f"{name}: it lists a storage that no tensor uses; get a new copy of the file")
        count = int.from_bytes(data[:8], "little", signed=True)
        size = storages[key].count * storages[key].dtype.itemsize
        if count != storages[key].count or size > len(data) - 8:
            raise _wrong_size(name, storages[key], len(data) - 8)
        found[key] = data[8 : 8 + size]
        data = data[8 + size :]
    return found


def _wrong_size(name: str, storage: _Storage, found: int) -> WeightsError:
    return WeightsError(
        f"{name}: a storage claims {storage.count:,} numbers of {storage.dtype}, but has {found:,} bytes: the file is "
        "truncated or damaged; get a new copy"
    )


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    """Stand in for torch._utils._rebuild_tensor_v2; the arguments after the strides matter only in training."""
    sizes = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or len(shape) != len(strides):
        raise TypeError("not a tensor")
    if not all(type(size) is int and 0 <= size < 2**63 for size in sizes):
        raise TypeError("not sizes")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    """Stand in for torch._utils._rebuild_parameter."""
    return tensor


def _storage(identifier: Any) -> _Storage:
    """Return the storage of a persistent identifier: ("storage", type, key, device, count)."""
    kind, storage_type, key, _, count, *view = identifier
    if _text(kind) != "storage" or not isinstance(storage_type, _StorageType) or any(part is not None for part in view):
        raise TypeError("not a storage")
    if type(count) is not int or not 0 <= count < 2**60:
        raise TypeError("not a count")
    return _Storage(_text(key), storage_type.dtype, count)


def _text(key: Any) -> str:
    """Return a name, which Python 2 wrote as bytes; an empty one for anything that is not text."""
    return key.decode(errors="replace") if isinstance(key, bytes) else key if isinstance(key, str) else ""


_DTYPES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": ml_dtypes.bfloat16, "Long": "<i8", "Int": "<i4"}
_ADMITTED = {
    ("collections", "OrderedDict"): ordered_dict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,  # PyTorch 0.1, which wrote the oldest published files
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", f"{name}Storage"): _StorageType(np.dtype(dtype)) for name, dtype in _DTYPES.items()},
}
