"""Which network a weights file holds, and with which options."""

import inspect
import logging
from dataclasses import replace
from functools import cache
from math import prod
from typing import Any

from finetune.data.preprocessing import Preprocessing
from finetune.errors import UsageError, WeightsError
from finetune.formats.weights_file import WeightsFile, layer_of
from finetune.networks import NETWORKS, Network, build
from finetune.pretrained.catalogue import entry_of
from finetune.system.text import first_few, shape_text

logger = logging.getLogger(__name__)

LARGEST_INPUT = 512  # pixels; input sizes are tried up to this one


def describe(file: WeightsFile, name: str) -> WeightsFile:
    """Return `file` with the network and preprocessing of the published weights `name`; unchanged for another name.

    `name` may also be that of their file. Most files do not state them, and AlexNet and CaffeNet, for instance, have
    the same shapes. A network that the file shows stays, and a file that finetune wrote states everything.
    """
    entry = entry_of(name)
    if entry is None or "options" in file.metadata:
        return file
    known = {"preprocessing": entry.preprocessing.to_json()} if entry.preprocessing else {}
    return replace(file, network=file.network or entry.network, metadata={**file.metadata, **known})


def description_of(network: Network) -> dict[str, Any]:
    """Return the metadata from which `network_of` builds exactly this network."""
    return {
        "network": network.name,
        "options": dict(network.options),
        "preprocessing": network.preprocessing.to_json(),
    }


def network_of(file: WeightsFile, name: str | None = None) -> Network:
    """Return the network in `file`, with the options and preprocessing that the file states or its shapes show.

    `name` chooses where several networks fit, unless the file states its network. Layers that no network has are
    ignored if all others fit.
    Raises WeightsError if none fits, or several do and nothing chooses one.
    """
    if "options" in file.metadata:
        return _from_metadata(file, name)
    names = [name] if name else _possible(file)
    found = _fitting(file, names) or _fitting(file, names, with_others=True)
    if len(found) == 1:
        return found[0]
    if found:
        equal = [network.name for network in found]
        raise WeightsError(
            f"{file.name} fits {' and '.join(equal)} equally; choose with --network {' or --network '.join(equal)}"
        )
    raise WeightsError(_difference(file, [_like(file, each) for each in names]))


def fitting_networks(file: WeightsFile) -> list[Network]:
    """Return every network with exactly the names and shapes in `file`; only its own if the file states one."""
    if "options" in file.metadata:
        return [_from_metadata(file, None)]
    return _fitting(file, _possible(file))


def network_like(file: WeightsFile, name: str) -> Network:
    """Return the network `name` with the options that the file states or its shapes suggest; the fit is not checked.

    A warning says if the file may as well hold another network. Raises WeightsError if it states that it does.
    """
    network = _like(file, name)
    if file.network not in NETWORKS:
        shapes = network.weight_shapes()
        equal = [other for other in NETWORKS if other != name and _like(file, other).weight_shapes() == shapes]
        if equal:
            logger.warning(
                "%s does not show whether it holds %s, which have the same layers and shapes: %s is assumed; choose "
                "with --network", file.name, " or ".join([name, *equal]), name,
            )  # fmt: skip
    return network


def _like(file: WeightsFile, name: str) -> Network:
    """Return the network `name` as `network_like` does, without its warning."""
    if "options" in file.metadata:
        return _from_metadata(file, name)
    if file.network in NETWORKS and file.network != name:
        raise _another_network(file, name)
    network = _with_shapes_of(file, name)
    if "preprocessing" in file.metadata:
        stated = Preprocessing.from_json(file.metadata["preprocessing"])
        size = network.preprocessing.size
        # The size follows from the shapes; at another one, the ratio of the resized image to the crop stays.
        resize_to = round(size * stated.resize_to / stated.size)
        return replace(network, preprocessing=replace(stated, size=size, resize_to=resize_to))
    return network


def _possible(file: WeightsFile) -> list[str]:
    return [file.network] if file.network in NETWORKS else list(NETWORKS)


def _fitting(file: WeightsFile, names: list[str], with_others: bool = False) -> list[Network]:
    """Return the networks with exactly the tensors of the file; `with_others`: the file may have more.

    A network without a classifier needs all: torchvision's tower with another classifier is not alexnet-book.
    """
    shapes = {key: tensor.shape for key, tensor in file.tensors.items()}
    candidates = [_like(file, name) for name in names]
    if with_others:
        return [n for n in candidates if n.first_dense() and n.weight_shapes().items() <= shapes.items()]
    return [network for network in candidates if network.weight_shapes() == shapes]


def _difference(file: WeightsFile, networks: list[Network]) -> str:
    """Return the message that no network fits: how the file differs from the nearest one, what is odd in it first."""
    shapes = {key: tensor.shape for key, tensor in file.tensors.items()}
    nearest = max(networks, key=lambda network: len(network.weight_shapes().items() & shapes.items()))
    wanted = nearest.weight_shapes()
    odd = [f"{key} ({shape_text(shape)})" for key, shape in shapes.items() if key not in wanted]
    other = [f"{key} is {shape_text(shapes[key])}, not {shape_text(shape)}"
             for key, shape in wanted.items() if shapes.get(key, shape) != shape]  # fmt: skip
    missing = file.missing(wanted)
    parts = [f"it has {first_few(odd, 4)}"] if odd else []
    parts += [first_few(other, 4)] if other else []
    parts += [f"it lacks {first_few(missing)}"] if missing else []
    which = nearest.name if len(networks) == 1 else f"any network, {nearest.name} least badly"
    return f"{file.name} does not fit {which}: {', '.join(parts)}; choose another file or --network"


def _with_shapes_of(file: WeightsFile, name: str) -> Network:
    """Return the network `name` with as many classes, units and pixels as the shapes in the file suggest."""
    known = inspect.signature(NETWORKS[name]).parameters if name in NETWORKS else {}
    kernels = {layer_of(key): tensor.shape for key, tensor in file.tensors.items() if key.endswith("/kernel")}
    options: dict[str, int | str] = {"num_classes": _outputs(file, "fc8")} if "fc8" in kernels else {}
    if cut_after := _cut_after(build(name, options), file) if "fc8" in kernels else None:
        options["cut_after"] = cut_after
    first_kernel = kernels.get("fc6", kernels.get("fc8") if cut_after else None)
    if first_kernel is None:
        return build(name, options)
    if "fc_units" in known and "fc6" in kernels:
        options["fc_units"] = _outputs(file, "fc6")
    for size in [{}, *({"input_size": size} for size in range(1, LARGEST_INPUT))] if "input_size" in known else [{}]:
        network = _try_build(name, **options, **size)
        first = network.first_dense() if network else None
        if network and first and prod(first.input_shape) == first_kernel[0]:
            return network
    return build(name, options)


def _outputs(file: WeightsFile, layer: str) -> int:
    """Return how many outputs a fully connected layer has; its bias says so even where its kernel is transposed."""
    bias = file.tensors.get(f"{layer}/bias")
    return file.tensors[f"{layer}/kernel"].shape[-1] if bias is None or bias.ndim != 1 else len(bias)


def _cut_after(network: Network, file: WeightsFile) -> str | None:
    """Return after which layer a network must be cut to have the layers of the file; None for the whole, or no fit."""
    found = set(file.layers())
    if found == set(network.weighted_layers()):
        return None
    cuts = (layer for layer in network.probe_layers() if set(network.cut(layer).weighted_layers()) == found)
    return next(cuts, None)


@cache  # each file is tried at hundreds of input sizes
def _try_build(name: str, **options: int | str) -> Network | None:
    try:
        return build(name, options)
    except UsageError:  # the input is too small for the network
        return None


def _from_metadata(file: WeightsFile, name: str | None) -> Network:
    """Return the network that a file written by finetune describes in its metadata."""
    if name and name != file.network:
        raise _another_network(file, name)
    options, stated = file.metadata["options"], file.metadata.get("preprocessing")
    if not isinstance(options, dict) or not isinstance(stated, dict):
        raise WeightsError(f"{file.name}: its options or its preprocessing are invalid; write the file again")
    preprocessing = Preprocessing.from_json(stated)
    try:
        network = build(str(file.network), options)
    except (UsageError, ArithmeticError) as error:
        raise WeightsError(f"{file.name}: {error}") from None
    if (preprocessing.size, preprocessing.channels) != (network.preprocessing.size, network.preprocessing.channels):
        raise WeightsError(
            f"{file.name}: its preprocessing gives {preprocessing.size} pixels and {preprocessing.channels} "
            f"channels, but its network takes {network.preprocessing.size} and {network.preprocessing.channels}; "
            "write the file again"
        )
    return replace(network, preprocessing=preprocessing)


def _another_network(file: WeightsFile, name: str) -> WeightsError:
    return WeightsError(f"{file.name} holds the network {file.network}, not {name}; use --network {file.network}")
