"""Which network a weights file holds, and with which options."""

import inspect
from dataclasses import replace
from math import prod

from finetune.data.preprocessing import Preprocessing
from finetune.errors import UsageError, WeightsError
from finetune.networks import NETWORKS, Network, build
from finetune.pretrained.weights_file import WeightsFile

LARGEST_INPUT = 512  # input sizes are tried up to this many pixels


def network_of(file: WeightsFile, name: str | None = None) -> Network:
    """Return the network in `file`, built with the options and preprocessing that the file tells or its shapes show.

    `name` decides where several networks fit; a file that names its own network decides for itself otherwise.
    Raises WeightsError when none fits, or several do and nothing decides.
    """
    if "options" in file.metadata:
        return _described(file, name)
    names = [name] if name else [file.network] if file.network in NETWORKS else list(NETWORKS)
    candidates = [network_like(file, str(candidate)) for candidate in names]
    shapes = {key: tensor.shape for key, tensor in file.tensors.items()}
    fitting = [network for network in candidates if network.weight_shapes() == shapes]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        both = " and ".join(network.name for network in fitting)
        raise WeightsError(f"{file.path.name} fits {both} alike; say which with --network")
    found = ", ".join(f"{key} {'×'.join(map(str, shape))}" for key, shape in list(shapes.items())[:4])
    raise WeightsError(
        f"{file.path.name} fits none of {', '.join(map(str, names))}: it has {found or 'no tensors'}, …; "
        "choose another file or --network"
    )


def network_like(file: WeightsFile, name: str) -> Network:
    """Return the network `name` with the options that the file tells or its shapes suggest; the fit is not checked.

    Raises WeightsError when the file says that it holds another network.
    """
    if "options" in file.metadata:
        return _described(file, name)
    if file.network in NETWORKS and file.network != name:
        raise WeightsError(f"{file.path.name} holds the network {file.network}, not {name}; add --network {file.network}")
    known = inspect.signature(NETWORKS[name]).parameters if name in NETWORKS else {}
    kernels = {key.split("/")[0]: tensor.shape for key, tensor in file.tensors.items() if key.endswith("/kernel")}
    options = {"num_classes": list(kernels.values())[-1][-1]} if kernels else {}
    if "fc_units" in known and "fc6" in kernels:
        options["fc_units"] = kernels["fc6"][-1]
    for size in [{}, *({"input_size": size} for size in range(1, LARGEST_INPUT))] if "input_size" in known else [{}]:
        network = _try_build(name, options | size)
        first = network.first_dense() if network else None
        if network and first and prod(first.input_shape) == kernels.get(first.layer.name, (0,))[0]:
            return network
    return build(name, options)


def _described(file: WeightsFile, name: str | None) -> Network:
    """Return the network that a file of our own describes in its metadata."""
    if name and name != file.network:
        raise WeightsError(f"{file.path.name} holds the network {file.network}, not {name}; add --network {file.network}")
    try:
        network = build(str(file.network), file.metadata["options"])
    except UsageError as error:
        raise WeightsError(f"{file.path.name}: {error}") from None
    return replace(network, preprocessing=Preprocessing.from_json(file.metadata["preprocessing"]))


def _try_build(name: str, options: dict[str, int]) -> Network | None:
    try:
        return build(name, options)
    except UsageError:  # too small an input
        return None
