"""Which network a weights file holds, and with which options."""

import inspect
from dataclasses import replace
from math import prod

from finetune.data.preprocessing import Preprocessing
from finetune.errors import UsageError, WeightsError
from finetune.formats.weights_file import WeightsFile, layer_of
from finetune.networks import NETWORKS, Network, build

LARGEST_INPUT = 512  # input sizes are tried up to this many pixels


def network_of(file: WeightsFile, name: str | None = None) -> Network:
    """Return the network in `file`, built with the options and preprocessing that the file tells or its shapes show.

    `name` decides where several networks fit; a file that names its own network decides for itself otherwise.
    Raises WeightsError when none fits, or several do and nothing decides.
    """
    if "options" in file.metadata:
        return _described(file, name)
    names = [name] if name else _possible(file)
    found = _fitting(file, names)
    if len(found) == 1:
        return found[0]
    if found:
        both = [network.name for network in found]
        raise WeightsError(
            f"{file.path.name} fits {' and '.join(both)} alike; say which with --network {' or --network '.join(both)}"
        )
    shapes = [f"{key} {'×'.join(map(str, tensor.shape))}" for key, tensor in list(file.tensors.items())[:4]]
    raise WeightsError(
        f"{file.path.name} fits none of {', '.join(names)}: it has {', '.join(shapes) or 'no tensors'}, …; "
        "choose another file or --network"
    )


def fitting_networks(file: WeightsFile) -> list[Network]:
    """Return every network whose names and shapes are those in `file`; only its own where the file names one."""
    if "options" in file.metadata:
        return [_described(file, None)]
    return _fitting(file, _possible(file))


def network_like(file: WeightsFile, name: str) -> Network:
    """Return the network `name` with the options that the file tells or its shapes suggest; the fit is not checked.

    Raises WeightsError when the file says that it holds another network.
    """
    if "options" in file.metadata:
        return _described(file, name)
    if file.network in NETWORKS and file.network != name:
        raise _other_network(file, name)
    network = _sized(file, name)
    if "preprocessing" in file.metadata:
        told = Preprocessing.from_json(file.metadata["preprocessing"])
        side = network.preprocessing.size
        # The options follow from the shapes, so that a file for another size keeps its ratio of picture to crop.
        return replace(
            network, preprocessing=replace(told, size=side, resize_to=round(side * told.resize_to / told.size))
        )
    return network


def _possible(file: WeightsFile) -> list[str]:
    return [file.network] if file.network in NETWORKS else list(NETWORKS)


def _fitting(file: WeightsFile, names: list[str]) -> list[Network]:
    shapes = {key: tensor.shape for key, tensor in file.tensors.items()}
    candidates = (network_like(file, name) for name in names)
    return [network for network in candidates if network.weight_shapes() == shapes]


def _sized(file: WeightsFile, name: str) -> Network:
    """Return the network `name` with as many classes, units and pixels as the shapes in the file suggest."""
    known = inspect.signature(NETWORKS[name]).parameters if name in NETWORKS else {}
    kernels = {layer_of(key): tensor.shape for key, tensor in file.tensors.items() if key.endswith("/kernel")}
    options = {"num_classes": kernels["fc8"][-1]} if "fc8" in kernels else {}
    if "fc6" not in kernels:
        return build(name, options)
    if "fc_units" in known:
        options["fc_units"] = kernels["fc6"][-1]
    for size in [{}, *({"input_size": size} for size in range(1, LARGEST_INPUT))] if "input_size" in known else [{}]:
        network = _try_build(name, options | size)
        first = network.first_dense() if network else None
        if network and first and prod(first.input_shape) == kernels["fc6"][0]:
            return network
    return build(name, options)


def _described(file: WeightsFile, name: str | None) -> Network:
    """Return the network that a file of our own describes in its metadata."""
    if name and name != file.network:
        raise _other_network(file, name)
    options, told = file.metadata["options"], file.metadata.get("preprocessing")
    if not isinstance(options, dict) or not isinstance(told, dict):
        raise WeightsError(
            f"{file.path.name}: what it says of options and preprocessing cannot be understood; write it again"
        )
    preprocessing = Preprocessing.from_json(told)
    try:
        network = build(str(file.network), options)
    except (UsageError, ArithmeticError) as error:
        raise WeightsError(f"{file.path.name}: {error}") from None
    if (preprocessing.size, preprocessing.channels) != (network.preprocessing.size, network.preprocessing.channels):
        raise WeightsError(
            f"{file.path.name}: its pictures have {preprocessing.size} pixels and {preprocessing.channels} channels, "
            f"but its network takes {network.preprocessing.size} and {network.preprocessing.channels}; write it again"
        )
    return replace(network, preprocessing=preprocessing)


def _try_build(name: str, options: dict[str, int]) -> Network | None:
    try:
        return build(name, options)
    except UsageError:  # too small an input
        return None


def _other_network(file: WeightsFile, name: str) -> WeightsError:
    return WeightsError(f"{file.path.name} holds the network {file.network}, not {name}; add --network {file.network}")
