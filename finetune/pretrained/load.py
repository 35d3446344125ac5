"""Load a weights file into a network: every layer that is not skipped must fit exactly."""

import logging
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from finetune.errors import WeightsError
from finetune.formats.weights_file import Array, WeightsFile, layer_of
from finetune.networks.layers import Shape
from finetune.networks.network import Network
from finetune.system.text import shape_text

logger = logging.getLogger(__name__)


def load_weights(network: Network, file: WeightsFile, skip: Collection[str] = ()) -> dict[str, NDArray[np.float32]]:
    """Return `layer/weight` -> float32 array for every weight of the layers of `network` that are not in `skip`.

    Strict: a layer that the file lacks, a wrong shape or a value that is not finite raises WeightsError, which names
    what the network needs and what the file has. A warning lists layers of the file that the network does not have.
    """
    wanted = {name: shape for name, shape in network.weight_shapes().items() if layer_of(name) not in skip}
    _check_layers(network, file, wanted)
    tensors = {}
    for name, shape in wanted.items():
        tensor = _height_width_channel(network, file, name, shape)
        _check_shape(network, file, name, tensor, shape)
        tensors[name] = np.ascontiguousarray(tensor, dtype=np.float32)
        if not np.isfinite(tensors[name]).all():
            raise WeightsError(f"{file.name}: {name} has values that are not finite; get a new copy of the file")
    return tensors


def _check_layers(network: Network, file: WeightsFile, wanted: dict[str, Shape]) -> None:
    leftover = [layer for layer in file.layers() if layer not in network.weighted_layers()]
    if missing := file.missing(wanted):
        known = [layer for layer in file.layers() if layer not in leftover]
        found = ", ".join([*leftover, *known]) or "no layers"  # what is odd first
        lacking = dict.fromkeys(layer_of(name) for name in wanted if name not in file.tensors)
        raise WeightsError(
            f"{file.name} lacks {', '.join(missing)} of {network.name}: expected "
            f"{', '.join(network.weighted_layers())}, but the file has {found}; choose other weights, or add "
            f"--skip {','.join(lacking)}"
        )
    if leftover:
        logger.warning(
            "%s also has %s, which %s does not have; they are not used (the network has %s)",
            file.name,
            ", ".join(leftover),
            network.name,
            ", ".join(network.weighted_layers()),
        )


def _height_width_channel(network: Network, file: WeightsFile, name: str, shape: Shape) -> Array:
    """Return a tensor; the rows of the first fully connected kernel are reordered as this package flattens."""
    tensor = file.tensors[name]
    first = network.first_dense()
    if not file.channel_first or first is None or name != f"{first.layer.name}/kernel" or tensor.shape != shape:
        return tensor
    height, width, channels = first.input_shape
    return tensor.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(shape)


def _check_shape(network: Network, file: WeightsFile, name: str, tensor: Array, shape: Shape) -> None:
    if tensor.shape == shape:
        return
    layer = layer_of(name)
    if layer == network.weighted_layers()[-1] and tensor.shape[:-1] == shape[:-1]:
        raise WeightsError(
            f"{layer} has {tensor.shape[-1]} outputs in {file.name}, but there are {shape[-1]} classes; "
            f"add --skip {layer} to train it from scratch"
        )
    raise WeightsError(
        f"{name} is {_size(tensor.shape)} in {file.name}, but {network.name} needs {_size(shape)}; "
        f"choose weights of this network, or add --skip {layer}"
    )


def _size(shape: Shape) -> str:
    return shape_text(shape) or "a single number"
