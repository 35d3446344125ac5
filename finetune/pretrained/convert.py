"""Convert a weights file into another format; every number keeps its value."""

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from finetune.errors import UsageError, WeightsError
from finetune.formats.npy_file import write_npy
from finetune.formats.npz_file import write_npz
from finetune.formats.read_weights import read_weights
from finetune.formats.safetensors_file import write_safetensors
from finetune.formats.weights_file import Array, WeightsFile
from finetune.networks import Network
from finetune.pretrained.infer import description_of, fitting_networks

_WRITERS: dict[str, Callable[[Path, Mapping[str, Array]], None]] = {".npy": write_npy, ".npz": write_npz}
_SAFETENSORS = ".safetensors"


def convert(source: Path, target: Path, *, overwrite: bool = False) -> None:
    """Write the weights in `source` to `target` in the format of its extension: .npy, .npz or .safetensors.

    Layers get this package's names and kernels its axis order; values keep their type (bfloat16 becomes float32 in
    NumPy's formats). A safetensors file also describes its network, if `source` does or only one network fits. Raises
    UsageError for another extension, WeightsError if `source` cannot be read, or if `target` exists and `overwrite` is
    off.
    """
    if target.suffix not in (*_WRITERS, _SAFETENSORS):
        raise UsageError(f"{target.name}: cannot be written; expected a name that ends in .npy, .npz or {_SAFETENSORS}")
    if target.exists() and not overwrite:
        raise WeightsError(f"{target} exists; choose another name, or --overwrite to replace it")
    file = read_weights(source)
    fitting = fitting_networks(file)
    tensors = _rows_reordered(file, fitting)
    if target.suffix == _SAFETENSORS:
        write_safetensors(target, tensors, _description(file, fitting))
    else:
        _WRITERS[target.suffix](target, tensors)


def _rows_reordered(file: WeightsFile, fitting: list[Network]) -> dict[str, Array]:
    """Return the tensors with the rows of the first dense kernel ordered height, width, channel."""
    tensors = dict(file.tensors)
    if not file.channel_first:
        return tensors
    first = fitting[0].first_dense() if fitting else None  # networks that fit alike flatten the same shape
    if first is None:
        raise WeightsError(
            f"{file.path.name}: the rows of its first fully connected layer are ordered channel, height, width, and "
            "cannot be reordered because no network here has its layers and shapes; convert a file that fits a network"
        )
    name = f"{first.layer.name}/kernel"
    height, width, channels = first.input_shape
    rows = tensors[name].reshape(channels, height, width, -1).transpose(1, 2, 0, 3)
    tensors[name] = rows.reshape(prod(first.input_shape), -1)
    return tensors


def _description(file: WeightsFile, fitting: list[Network]) -> Mapping[str, Any] | None:
    """Return the metadata of a safetensors file, None if the network is not known."""
    if "options" in file.metadata:
        return file.metadata
    return description_of(fitting[0]) if len(fitting) == 1 else None
