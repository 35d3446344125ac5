"""Keras' files: .h5 of Keras 2 and 3, .weights.h5 and .keras, read with h5py alone.

Only the datasets are read; the description of the model in the file is never turned into layers, because a Lambda layer
can hold any code. The layout is that of keras/src/legacy/saving/legacy_h5_format.py (`layer/…/kernel`) and of
keras/src/saving/saving_lib.py (`layers/conv2d_1/vars/0`).
"""

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from finetune.errors import WeightsError
from finetune.formats.layer_names import VGG16_CONVS, conv_names, dense_names
from finetune.formats.stored_zip import StoredZip
from finetune.formats.untrusted_text import listed, shown
from finetune.formats.weights_file import Array, WeightsFile
from finetune.system.mapped import map_file

_MAX_OBJECTS = 10_000  # groups and datasets; VGG16 with the state of its optimizer has about 200
_MAX_DEPTH = 12  # nested groups; a hard link to an outer group would never end
_MAX_CONFIG = 10_000_000  # bytes of config.json; VGG16's are 20,000
_MAX_NAME = 1000  # bytes of a layer name

# Name in keras.applications.VGG16 -> name in Caffe, for the last layers.
_VGG16 = {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}
# Class in config.json -> the name that Keras gives to layers of that class by default.
_CLASSES = {"Conv2D": "conv2d", "Dense": "dense", "BatchNormalization": "batch_normalization"}
_AUTOMATIC = re.compile(r"(conv2d|dense|batch_normalization)(?:_(\d+))?")
# Keras 3 writes conv1/kernel, Keras 2 conv1/kernel:0, and Keras 1, as in the published VGG16, conv1_W_1:0.
_WEIGHT = re.compile(r"(?:.*_)?(kernel|bias|gamma|beta|moving_mean|moving_variance|W|b)(?:_\d+)?(?::\d+)?")
_BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")  # their order in Keras 3's numbered vars


def read_keras(path: Path) -> WeightsFile:
    """Return the weights in a file that Keras wrote, as views of the mapped file.

    Layers of keras.applications' VGG16 get Caffe's names; layers called conv1, fc6 or bn1 keep theirs; layers with
    Keras' automatic names (conv2d_1) are named by their order; next to these, a layer with another name keeps it.
    Raises WeightsError for other names alone, for damaged files, and for links to other files or data outside this one.
    """
    data = memoryview(map_file(path))
    configured: Mapping[str, str] = {}
    if bytes(data[:2]) == b"PK":
        entries = StoredZip(path, data)
        if "model.weights.h5" not in entries or "config.json" not in entries:
            raise WeightsError(f"{path.name}: expected model.weights.h5 and config.json as in a .keras file of Keras 3")
        data, configured = entries["model.weights.h5"], _configured_names(path.name, entries["config.json"])
    found = _read_hdf5(path.name, data, configured)
    names = _our_names(path.name, dict.fromkeys(layer for layer, _ in found))
    tensors = {f"{names[layer]}/{weight}": tensor for (layer, weight), tensor in found.items()}
    ordered = dict(sorted(tensors.items(), key=lambda item: _forward_order(item[0])))
    blocks = any(layer.startswith("block") for layer in names)
    vgg16 = blocks and set(names.values()) <= {*VGG16_CONVS, *_VGG16.values()}
    return WeightsFile(path, "keras", ordered, network="vgg16" if vgg16 else None)


def _configured_names(name: str, config: memoryview) -> dict[str, str]:
    """Return group in the HDF5 file (conv2d_1: Keras 3 counts by class) -> name of the layer in config.json."""
    try:
        if len(config) > _MAX_CONFIG:
            raise ValueError("longer than that of any model")
        layers = json.loads(bytes(config))["config"]["layers"]
        known = [(_CLASSES[str(layer["class_name"])], str(layer["config"]["name"])) for layer in layers
                 if str(layer["class_name"]) in _CLASSES]  # fmt: skip
    except (ValueError, TypeError, KeyError, RecursionError):
        raise WeightsError(
            f"{name}: its config.json is damaged or does not describe a Keras model; save the model again"
        ) from None
    counts: dict[str, int] = {}
    names = {}
    for kind, layer in known:
        number = counts[kind] = counts.get(kind, -1) + 1
        names[f"{kind}_{number}" if number else kind] = layer
    return names


def _read_hdf5(name: str, data: memoryview, configured: Mapping[str, str]) -> dict[tuple[str, str], Array]:
    """Return (layer, weight) -> array for every weight in an HDF5 file, with the file's own layer names."""
    import h5py  # here because only this format needs it

    found: dict[tuple[str, str], Array] = {}
    try:
        with h5py.File(_Bytes(data), "r") as file:
            for parts, group, dataset in _datasets(name, file):
                if parts[0] in ("optimizer", "optimizer_weights"):
                    continue
                key = _numbered(parts, group, configured) if "vars" in parts else _named(parts)
                if key is None or key in found:
                    raise WeightsError(
                        f"{name}: {shown('/'.join(parts))} is not a weight of a convolution, a dense layer or batch "
                        "normalisation, or occurs twice; choose a file with only such layers"
                    )
                found[key] = _array(name, "/".join(parts), dataset, data)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, UnicodeError):
        raise WeightsError(f"{name}: its HDF5 structure is truncated or damaged; get a new copy of the file") from None
    if not found:
        raise WeightsError(
            f"{name}: expected the weights of a Keras model, but the file has none; save the model again"
        )
    return found


def _datasets(name: str, file: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield every dataset with its path and its group; refuse links out of the file and endless nesting."""
    import h5py

    pending: list[tuple[tuple[str, ...], Any]] = [((), file)]
    count = 0
    while pending:
        path, group = pending.pop()
        for key in group:
            parts, count = (*path, key), count + 1
            if count > _MAX_OBJECTS or len(parts) > _MAX_DEPTH:
                raise WeightsError(
                    f"{name}: refused: it has more groups than any model, or groups that contain themselves; get the "
                    "file from a source you trust"
                )
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise WeightsError(
                    f"{name}: refused: {shown('/'.join(parts))} is a link, and Keras writes none; get the file from a "
                    "source you trust"
                )
            item = group[key]
            if isinstance(item, h5py.Dataset):
                yield parts, group, item
            else:
                pending.append((parts, item))


def _array(name: str, key: str, dataset: Any, data: memoryview) -> Array:
    """Return the array in a dataset as a view of the file."""
    if dataset.dtype.kind != "f" or not dataset.shape or 0 in dataset.shape:
        raise WeightsError(
            f"{name}: {shown(key)} is {shown(str(dataset.dtype))} of shape {dataset.shape}; expected floating-point "
            "weights; save the model's own weights"
        )
    offset = dataset.id.get_offset()  # None when virtual, external, chunked, compressed or never written
    size = dataset.dtype.itemsize * dataset.size
    if offset is None or dataset.chunks or dataset.external or size > dataset.id.get_storage_size():
        raise WeightsError(
            f"{name}: refused: {shown(key)} claims {size:,} bytes that are not in the file as one piece, as Keras "
            "writes them; load the model with Keras and save it again"
        )
    return np.frombuffer(data[offset : offset + size], dataset.dtype).reshape(dataset.shape)


def _named(parts: tuple[str, ...]) -> tuple[str, str] | None:
    """Return layer and weight of a path like conv1/model/conv1/kernel:0; the layer is the first part that names one.

    So a model within a model (vgg16/block1_conv1/kernel) is read like any other.
    """
    match = _WEIGHT.fullmatch(parts[-1])
    layers = [part for part in parts[:-1] if part != "model_weights"]
    if match is None or not layers:
        return None
    known = [layer for layer in layers if layer in _VGG16 or _caffe_name(layer) or _AUTOMATIC.fullmatch(layer)]
    return (known or layers)[0], {"W": "kernel", "b": "bias"}.get(match[1], match[1])


def _numbered(parts: tuple[str, ...], group: Any, configured: Mapping[str, str]) -> tuple[str, str] | None:
    """Return layer and weight of a path like layers/conv2d_1/vars/0."""
    if len(parts) < 3 or parts[-2] != "vars" or not parts[-1].isdecimal():
        return None
    weights = _BATCH_NORM if len(group) == len(_BATCH_NORM) else ("kernel", "bias")
    index = int(parts[-1][:3])
    layer = configured.get(parts[-3], parts[-3])
    if "name" in group.attrs and group.attrs.get_id("name").get_storage_size() <= _MAX_NAME:  # since Keras 3.5 or so
        layer = str(group.attrs["name"])
    return (layer, weights[index]) if index < len(weights) else None


def _caffe_name(layer: str) -> str | None:
    """Return Caffe's name of a layer with a name from keras.applications' VGG16 or from Caffe, None for others."""
    if match := re.fullmatch(r"block(\d)_conv(\d)", layer):
        return f"conv{match[1]}_{match[2]}"
    return layer if re.fullmatch(r"(conv|fc|bn)\d+(_\d+)?", layer) else None


def _our_names(name: str, layers: Mapping[str, Any]) -> dict[str, str]:
    """Return layer name in the file -> this package's name."""
    vgg16 = any(layer.startswith("block") for layer in layers)
    names = {layer: _VGG16.get(layer) if vgg16 and layer in _VGG16 else _caffe_name(layer) for layer in layers}
    automatic = {layer: match for layer in layers if (match := _AUTOMATIC.fullmatch(layer))}
    if not any(names.values()):
        kinds: dict[str, list[str]] = {kind: [] for kind in _CLASSES.values()}
        for layer, match in sorted(automatic.items(), key=lambda item: int(item[1][2] or 0)):
            kinds[match[1]].append(layer)
        convs, dense, norms = kinds.values()
        names |= zip(convs, conv_names(len(convs)), strict=True)
        names |= zip(dense, dense_names(len(dense), len(convs)), strict=True)
        names |= {layer: f"bn{i}" for i, layer in enumerate(norms, 1)}
    known = {ours for ours in names.values() if ours}
    if not known or len(known) != sum(1 for ours in names.values() if ours):
        others = [layer for layer, ours in names.items() if not ours] or names
        raise WeightsError(
            f"{name}: expected layer names as in keras.applications' VGG16 (block1_conv1, …, predictions) or as in "
            f"Caffe (conv1, bn1, fc6), but it has {listed(others)}; rename the layers and save the model again"
        )
    return {layer: ours or layer for layer, ours in names.items()}  # a last layer may be called anything


def _forward_order(key: str) -> tuple[int, list[int], bool, int]:
    """Sort conv1, bn1, conv2, …, fc6, others, each with its kernel before its bias."""
    layer, _, weight = key.partition("/")
    order = ("kernel", "bias", *_BATCH_NORM)
    return (
        0 if layer.startswith(("conv", "bn")) else 1 if layer.startswith("fc") else 2,
        [int(n) for n in re.findall(r"\d+", layer)],
        layer.startswith("bn"),
        order.index(weight),
    )


class _Bytes(io.RawIOBase):
    """A file of bytes that, unlike io.BytesIO, does not copy them."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._position = data, 0

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the position on; return how many bytes that were."""
        part = self._data[self._position : self._position + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` from the start, the position or the end; return the new position."""
        self._position = max(0, offset + (0, self._position, len(self._data))[whence])
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True
