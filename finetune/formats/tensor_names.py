"""This package's names for the tensors of any file: Caffe's layers, and `kernel` and `bias`.

Files call the same tensor conv1/weights:0 (TensorFlow), conv1_W (NumPy), module.features.0.weight (PyTorch, trained on
several GPUs), and give the last layer a new name for new classes, as Caffe asks for (fc8_flickr). The order of
torchvision's layers is from its models/alexnet.py and models/vgg.py.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from finetune.data.preprocessing import TORCHVISION
from finetune.errors import WeightsError
from finetune.formats.layer_names import VGG16_CONVS, conv_names, dense_names
from finetune.formats.untrusted_text import listed, shown
from finetune.formats.weights_file import Array, WeightsFile, layer_of

logger = logging.getLogger(__name__)

_WEIGHTS = {"kernel": "kernel", "weights": "kernel", "weight": "kernel", "W": "kernel", "w": "kernel"}
_WEIGHTS |= {"bias": "bias", "biases": "bias", "b": "bias"}
_WEIGHTS |= {"running_mean": "moving_mean", "running_var": "moving_variance"}  # PyTorch's batch norm
_WEIGHTS |= {name: name for name in ("gamma", "beta", "moving_mean", "moving_variance")}
_NAME = re.compile(rf"(.+?)(?:[/._]|(?<=\d)(?=[Wb]))({'|'.join(_WEIGHTS)})(?::0)?", re.DOTALL)
_CAFFE = re.compile(r"(conv|fc|bn)_?(\d+(?:_\d+)?)", re.IGNORECASE)

_ALEXNET = {f"features.{index}": f"conv{i}" for i, index in enumerate((0, 3, 6, 8, 10), 1)}
_ALEXNET |= {"classifier.1": "fc6", "classifier.4": "fc7", "classifier.6": "fc8"}
_ALEXNET |= {"linear0": "fc6", "linear1": "fc7"}  # Cadene's pretrained-models, whose last layer is last_linear
_VGG16 = {
    f"features.{index}": name
    for index, name in zip((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), VGG16_CONVS, strict=True)
}
_VGG16 |= {"classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8"}

_A_NETWORK = 5  # layers; AlexNets have eight, and blocks of a network with equal names have up to four


def is_weight(name: str) -> bool:
    """Return whether a file's name of an entry ends as that of a weight does, like conv1/weights:0 and conv1_W."""
    return _NAME.fullmatch(name) is not None


def with_our_names(file: WeightsFile) -> WeightsFile:
    """Return `file` with this package's names, axis order and network as far as names and shapes show them.

    A layer that has no place here keeps its name. A warning lists entries that are not weights. Raises WeightsError
    for a file without any weights.
    """
    found = {raw: match for raw in file.tensors if (match := _NAME.fullmatch(raw))}
    axes = dict.fromkeys((match[1] for match in found.values()), 0)  # layer -> number of axes of its kernel
    axes |= {match[1]: file.tensors[raw].ndim for raw, match in found.items() if _WEIGHTS[match[2]] == "kernel"}
    _refuse_two_sets(file, axes)
    layers, torchvision = _our_layers(axes)
    ours = {raw: f"{layers[match[1]]}/{_WEIGHTS[match[2]]}" for raw, match in found.items()}
    fitting = {raw: name for raw, name in ours.items() if _has_rank(name, file.tensors[raw])}
    others = _outermost([*file.others, *(raw for raw in file.tensors if raw not in fitting)], fitting)
    if not fitting:
        raise WeightsError(
            f"{file.path.name}: no entry is the weight of a layer: it has {listed(others) or 'nothing'}; expected "
            "names like conv1/kernel, conv1_W or features.0.weight; choose another file"
        )
    if others:
        logger.warning("%s: entries that are not weights of layers, and not used: %s", file.path.name, listed(others))
    tensors = {name: file.tensors[raw] for raw, name in fitting.items()}
    if len(tensors) < len(fitting):
        twice = next(name for name, count in Counter(fitting.values()).items() if count > 1)
        raise WeightsError(
            f"{file.path.name}: {listed(raw for raw, name in fitting.items() if name == twice)} are all "
            f"{shown(twice)}; expected one; remove the others from the file"
        )
    named = _with_last_layer(_with_our_axes(replace(file, tensors=tensors, others=())))
    return _with_torchvisions_network(named, torchvision) if torchvision else named


def _our_layers(axes: Mapping[str, int]) -> tuple[dict[str, str], Mapping[str, str]]:
    """Return layer in the file -> this package's, and torchvision's names if the file has them.

    Layers that only have numbers are named by their order. Layers that would become one keep the names of the file.
    """
    short = {layer: _short(layer) for layer in axes}
    features = {name for name in short.values() if name.startswith("features.")}
    numbered = features or any(name.startswith("classifier.") for name in short.values())
    torchvision = next((names for names in (_ALEXNET, _VGG16) if numbered and features <= set(names)), {})
    if not torchvision and 4 in axes.values() and _only_numbers(short.values()):
        return _by_position(axes), {}
    ours = {layer: torchvision.get(name, name) for layer, name in short.items()}
    count = Counter(ours.values())
    return {layer: name if count[name] == 1 else layer for layer, name in ours.items()}, torchvision


def _refuse_two_sets(file: WeightsFile, layers: Iterable[str]) -> None:
    """Raise WeightsError if containers in a file have the same layers, as of a model and its moving average."""
    sets: dict[frozenset[str], list[str]] = {}
    by_container: dict[str, set[str]] = {}
    for layer in layers:
        container, _, inside = layer.rpartition("/")
        by_container.setdefault(container, set()).add(_short(inside))
    for container, names in by_container.items():
        sets.setdefault(frozenset(names), []).append(container)
    same = next((found for names, found in sets.items() if len(found) > 1 and len(names) >= _A_NETWORK), [])
    if same:
        raise WeightsError(
            f"{file.path.name}: {listed(same)} have the same layers; expected one set of weights; remove the others "
            "from the file"
        )


def _only_numbers(layers: Iterable[str]) -> bool:
    """Return whether layers are called 0, 1, … or layers.0, layers.3, …, as in a list or in PyTorch's Sequential."""
    parts = [layer.rpartition(".") for layer in layers]
    return len({prefix for prefix, _, _ in parts}) == 1 and all(number.isdecimal() for _, _, number in parts)


def _by_position(axes: Mapping[str, int]) -> dict[str, str]:
    """Return layer in the file -> conv1, …, fc6, …, in the file's order."""
    convs = [layer for layer, count in axes.items() if count == 4]
    dense = [layer for layer, count in axes.items() if count == 2]
    names = [*conv_names(len(convs)), *dense_names(len(dense), len(convs))]
    return {**{layer: layer for layer in axes}, **dict(zip(convs + dense, names, strict=True))}


def _short(layer: str) -> str:
    """Return the part of a path that names the layer: conv1 of net.conv1, features.0 of module.features.module.0."""
    parts = [part.lstrip("_") for part in re.split(r"[/.]", layer) if part.strip("_") not in ("", "module")]
    numbered = len(parts) > 1 and parts[-1].isdecimal()
    if numbered and not _CAFFE.fullmatch(parts[-2]):
        return ".".join(parts[-2:])
    name = parts[-2] if numbered else parts[-1] if parts else layer  # conv1 of conv1.0, a layer within a block
    match = _CAFFE.fullmatch(name)
    return f"{match[1].lower()}{match[2]}" if match else name


def _has_rank(name: str, tensor: Array) -> bool:
    """Return whether a tensor has as many axes as its name says: a kernel is that of a convolution or a dense layer."""
    return tensor.ndim in (2, 4) if name.endswith("/kernel") else tensor.size == max(tensor.shape, default=0)


def _with_our_axes(file: WeightsFile) -> WeightsFile:
    """Return `file` with kernels (height, width, inputs, filters) if they are (filters, inputs, height, width).

    The kernel that reads the pixels shows it, by its one or three input channels. Biases get one axis.
    """
    tensors = {
        name: tensor if name.endswith("/kernel") else tensor.reshape(-1) for name, tensor in file.tensors.items()
    }
    if not any(_reads_pixels_first(tensor.shape) for tensor in tensors.values()):
        return replace(file, tensors=tensors)
    turned = {name: t.transpose(2, 3, 1, 0) if t.ndim == 4 else t.T for name, t in tensors.items()}
    return replace(file, tensors=turned, channel_first=True)


def _reads_pixels_first(shape: tuple[int, ...]) -> bool:
    """Return whether this is (filters, channels of a pixel, height, width); (3, 3, 64, 64) is not."""
    return len(shape) == 4 and shape[1] in (1, 3) and shape[0] != shape[1] and shape[2] == shape[3]


def _with_last_layer(file: WeightsFile) -> WeightsFile:
    """Return `file` with its last fully connected layer called fc8, whatever it was renamed to.

    It is the only other layer that takes the outputs of fc7; of several, the only one whose name begins with fc8. Its
    classes are not ImageNet's, so they get numbers.
    """
    layers = file.layers()
    if "fc8" in layers or "fc7/kernel" not in file.tensors:
        return file
    units = file.tensors["fc7/kernel"].shape[-1:]
    kernels = {layer: file.tensors.get(f"{layer}/kernel") for layer in layers if layer not in ("fc6", "fc7")}
    after = [layer for layer, kernel in kernels.items() if kernel is not None and kernel.shape[:-1] == units]
    last = after if len(after) == 1 else [layer for layer in after if layer.startswith("fc8")]
    if len(last) != 1:
        return file
    logger.info("%s has no fc8, but %s fits in its place and is used as fc8", file.path.name, shown(last[0]))
    tensors = {name.replace(f"{last[0]}/", "fc8/", layer_of(name) == last[0]): t for name, t in file.tensors.items()}
    numbers = [str(number) for number in range(tensors["fc8/kernel"].shape[-1])]
    return replace(file, tensors=tensors, metadata={**file.metadata, "class_names": numbers})


def _with_torchvisions_network(file: WeightsFile, names: Mapping[str, str]) -> WeightsFile:
    """Return `file` with the network that torchvision's names of its layers are those of."""
    if names is _VGG16:
        # Unlike Caffe's and Keras' VGG16, torchvision's was trained on the input of its other networks.
        metadata = {**file.metadata, "preprocessing": TORCHVISION.to_json()}
        return replace(file, network="vgg16", metadata=metadata)
    # Only torchvision's single tower has 64 filters; other AlexNets in PyTorch use the same names.
    conv1 = file.tensors.get("conv1/kernel")
    return replace(file, network="alexnet-owt") if conv1 is not None and conv1.shape[-1] == 64 else file


def _outermost(names: Iterable[str], used: Iterable[str]) -> list[str]:
    """Return the names of entries, of whole containers with nothing that is used only the container's."""
    inside = {name.partition("/")[0] for name in used}
    outer = {name: name.partition("/")[0] for name in names}
    return list(dict.fromkeys(name if container in inside else container for name, container in outer.items()))
