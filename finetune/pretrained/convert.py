"""One weights file into another format, every number as it was."""

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
from finetune.pretrained.infer import fitting_networks

_WRITERS: dict[str, Callable[[Path, Mapping[str, Array]], None]] = {".npy": write_npy, ".npz": write_npz}
_SAFETENSORS = ".safetensors"


def convert(source: Path, target: Path, *, overwrite: bool = False) -> None:
    """Write the weights in `source` to `target`, whose ending says the format: .npy, .npz or .safetensors.

    Layers get our names, kernels our order, values keep their type (bfloat16 becomes float32 in NumPy's formats). A
    safetensors file also says what it is, if `source` says so or only one network fits. Raises UsageError for another
    ending, WeightsError when `source` cannot be read or `target` is there already and `overwrite` is off.
    """
    if target.suffix not in (*_WRITERS, _SAFETENSORS):
        raise UsageError(f"{target.name}: cannot be written; expected a name that ends in .npy, .npz or {_SAFETENSORS}")
    if target.exists() and not overwrite:
        raise WeightsError(f"{target} is there already; choose another name, or --overwrite to replace it")
    file = read_weights(source)
    fitting = fitting_networks(file)
    tensors = _in_our_order(file, fitting)
    if target.suffix == _SAFETENSORS:
        write_safetensors(target, tensors, _description(file, fitting))
    else:
        _WRITERS[target.suffix](target, tensors)


def _in_our_order(file: WeightsFile, fitting: list[Network]) -> dict[str, Array]:
    """Return the tensors with the rows of the first dense kernel ordered height, width, channel."""
    tensors = dict(file.tensors)
    if not file.channel_first:
        return tensors
    first = fitting[0].first_dense() if fitting else None  # networks that fit alike flatten the same shape
    if first is None:
        raise WeightsError(
            f"{file.path.name}: its first fully connected layer is ordered channel, height, width, and no network here "
            "has its layers and shapes, so that it cannot be put in our order; convert a file that fits a network"
        )
    name = f"{first.layer.name}/kernel"
    height, width, channels = first.input_shape
    rows = tensors[name].reshape(channels, height, width, -1).transpose(1, 2, 0, 3)
    tensors[name] = rows.reshape(prod(first.input_shape), -1)
    return tensors


def _description(file: WeightsFile, fitting: list[Network]) -> Mapping[str, Any] | None:
    """Return what a safetensors file says of itself, None when it is not known."""
    if "options" in file.metadata:
        return file.metadata
    if len(fitting) != 1:
        return None
    network = fitting[0]
    return {
        "network": network.name,
        "options": dict(network.options),
        "preprocessing": network.preprocessing.to_json(),
    }
