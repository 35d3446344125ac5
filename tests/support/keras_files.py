"""Keras' files made by hand: old HDF5, Keras 3's, and .keras archives."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from finetune.formats.layer_names import VGG16_CONVS
from finetune.formats.weights_file import Array

RNG = np.random.default_rng(0)
VGG16 = [f"block{name[4]}_conv{name[6]}" for name in VGG16_CONVS] + ["fc1", "fc2", "predictions"]
CAFFE = [*VGG16_CONVS, "fc6", "fc7", "fc8"]


def weights(count: int) -> list[tuple[Array, Array]]:
    """Kernel and bias of `count` - 3 convolutions and three dense layers."""
    shapes: list[tuple[int, ...]] = [(3, 2, 3 if i == 0 else 4, 4) for i in range(count - 3)] + [(4, 6), (6, 6), (6, 5)]
    return [(RNG.standard_normal(s, np.float32), RNG.standard_normal(s[-1], np.float32)) for s in shapes]


def hdf5(content: Mapping[str, Any]) -> bytes:
    """An HDF5 file with these datasets; where `content` has a string, it is the name of a group."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for key, value in content.items():
            if isinstance(value, str):
                file.require_group(key).attrs["name"] = value
            else:
                file[key] = value
    return buffer.getvalue()


def zipped(content: Mapping[str, Any], config: Any, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A .keras file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        archive.writestr("config.json", config if isinstance(config, str | bytes) else json.dumps(config))
        archive.writestr("model.weights.h5", hdf5(content))
    return buffer.getvalue()


def configured(*layers: tuple[str, str]) -> dict[str, Any]:
    """The part of config.json that counts: class and name of each layer in forward order."""
    return {"config": {"layers": [{"class_name": kind, "config": {"name": name}} for kind, name in layers]}}


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def numbered(pairs: list[tuple[Array, Array]]) -> dict[str, Any]:
    """Keras 3's groups for convolutions and three dense layers."""
    groups = [f"conv2d_{i}" if i else "conv2d" for i in range(len(pairs) - 3)] + ["dense", "dense_1", "dense_2"]
    return {
        f"layers/{group}/vars/{i}": array
        for group, pair in zip(groups, pairs, strict=True)
        for i, array in enumerate(pair)
    }
