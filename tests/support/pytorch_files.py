"""torchvision's .pth files written by hand, in both forms of torch.save."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from finetune.formats.weights_file import Array

NARROW = (64, 6, 7, 5, 4)  # filters of conv1 to conv5; 64 is how torchvision's AlexNet is known
LAYERS = {"features": (0, 3, 6, 8, 10), "classifier": (1, 4, 6)}
VGG16 = {"features": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), "classifier": (0, 3, 6)}
TYPES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": ml_dtypes.bfloat16, "Int": "<i4"}


def state_dict(layers: Mapping[str, tuple[int, ...]] = LAYERS, filters: tuple[int, ...] = NARROW) -> dict[str, Array]:
    """Random weights in PyTorch's order: outputs, inputs, height, width."""
    rng, channels, state = np.random.default_rng(0), 3, {}
    for index, outputs in zip(layers["features"], filters, strict=True):
        state[f"features.{index}.weight"] = rng.standard_normal((outputs, channels, 3, 2), np.float32)
        state[f"features.{index}.bias"] = rng.standard_normal(outputs, np.float32)
        channels = outputs
    for index, outputs in zip(layers["classifier"], (9, 8, 5), strict=True):
        state[f"classifier.{index}.weight"] = rng.standard_normal((outputs, channels), np.float32)
        state[f"classifier.{index}.bias"] = rng.standard_normal(outputs, np.float32)
        channels = outputs
    return state


def plain(value: Any) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def tensor(
    key: str,
    count: int,
    shape: tuple[int, ...],
    offset: int = 0,
    strides: tuple[int, ...] | None = None,
    kind: str = "Float",
) -> bytes:
    """The opcodes of one tensor, as torch's pickler writes them."""
    if strides is None:
        strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    storage = (
        b"(" + plain("storage") + named("torch", f"{kind}Storage") + plain(key) + plain("cpu") + plain(count) + b"tQ"
    )
    hooks = named("collections", "OrderedDict") + b")R"
    sizes = plain(offset) + plain(shape) + plain(strides)
    return named("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + sizes + b"\x89" + hooks + b"tR"


def described(items: Mapping[str, bytes]) -> bytes:
    """The pickle of an OrderedDict of tensors."""
    pairs = b"".join(plain(key) + value for key, value in items.items())
    return b"\x80\x02" + named("collections", "OrderedDict") + b")R(" + pairs + b"u."


def described_state(state: Mapping[str, Array], kind: str = "Float") -> tuple[bytes, dict[str, bytes]]:
    """The pickle of a state dict, and the bytes of its storages by key."""
    items = {name: tensor(str(i), array.size, array.shape, kind=kind) for i, (name, array) in enumerate(state.items())}
    return described(items), {str(i): array.astype(TYPES[kind]).tobytes() for i, array in enumerate(state.values())}


def zipped(data: bytes, storages: Mapping[str, bytes], **entries: bytes) -> bytes:
    """The zip archive of torch.save since PyTorch 1.6."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {"data.pkl": data, "byteorder": b"little", **entries}.items():
            archive.writestr(f"alexnet/{name}", content)
        for key, content in storages.items():
            archive.writestr(f"alexnet/data/{key}", content)
    return buffer.getvalue()


def stream(
    data: bytes,
    storages: Mapping[str, bytes],
    size: int = 4,
    protocol: int = 1001,
    little: bool = True,
    keys: bytes = b"",
) -> bytes:
    """The stream of torch.save before PyTorch 1.6."""
    system = {"protocol_version": 1001, "little_endian": little, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, protocol, system))
    tail = b"".join(struct.pack("<q", len(content) // size) + content for content in storages.values())
    return head + data + (keys or pickle.dumps(list(storages), 2)) + tail


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
