"""A net of Caffe's and a network of this package: that they are the same, and what the net says of the network."""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, replace
from itertools import zip_longest
from math import prod, sqrt
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from finetune.data.preprocessing import CAFFE_MEAN_BGR, Preprocessing
from finetune.errors import UsageError, WeightsError
from finetune.formats.caffemodel import read_mean
from finetune.formats.prototxt import Message
from finetune.networks import NETWORKS, Network, build
from finetune.networks.initialize import Arrays
from finetune.networks.layers import Conv, Dense, Dropout, Layer, Shape
from finetune.system.digest import sha256
from finetune.training.caffe_net import CaffeNet
from finetune.training.caffe_solver import CaffeSolver, find_named
from finetune.training.solver import Solver

logger = logging.getLogger(__name__)

IMAGENET_MEAN = "imagenet_mean.binaryproto"  # CAFFE_MEAN_BGR is its mean


def check_same_network(net: CaffeNet, network: Network) -> None:
    """Raise UsageError, which names the first difference, unless the net has the layers of the network."""
    for theirs, ours in _pairs(net, network):
        if isinstance(theirs, Dense) and ours == network.layers[-1] and theirs.units != network.num_classes:
            raise UsageError(
                f"{net.path.name}: {theirs.name} has num_output {theirs.units}, but the data has {network.num_classes} "
                f"classes; change num_output to {network.num_classes}"
            )
        if theirs is None or ours is None or not _same(theirs, ours):
            others = [name for name in NETWORKS if _all_same(net, name)]
            advice = f"add --network {others[0]}" if others else "choose weights of that network, or train with Caffe"
            raise UsageError(
                f"{net.path.name}: expected the layers of {network.name}, {_described(ours)}, but found "
                f"{_described(theirs)}; {advice}"
            )


def fresh_layers(net: CaffeNet, network: Network) -> tuple[str, ...]:
    """Return the layers that the net gives a name of its own, so that Caffe does not load them either."""
    return tuple(ours for theirs, ours in _names(net, network).items() if theirs.lower() != ours)


def trained_layers(net: CaffeNet, network: Network, skip: Collection[str], asked: Collection[str]) -> tuple[str, ...]:
    """Return the layers to train: those of --train and `skip`, without --train all that have an `lr_mult` above 0.

    Raises UsageError for one of them that the net does not train.
    """
    learn = {ours for theirs, ours in _names(net, network).items() if any(w.rate for w in net.weights[theirs].values())}
    for name in (*skip, *asked):
        if name not in learn:
            raise UsageError(
                f"{net.path.name}: {name} has lr_mult 0, so it would not be trained, but it "
                f"{'starts fresh' if name in skip else 'is in --train'}; change one of the two"
            )
    wanted = {*skip, *asked} if asked else learn
    return tuple(name for name in network.weighted_layers() if name in wanted)


def fitted(solver: CaffeSolver, network: Network, images: int) -> Solver:
    """Return the solver for a network, with its rates and decays under the names of the network's weights."""
    net = solver.net
    weights = {
        f"{ours}/{name}": weight
        for theirs, ours in _names(net, network).items()
        for name, weight in net.weights[theirs].items()
    }
    texts = [solver.path.read_bytes(), net.path.read_bytes(), repr(mean_of(net)).encode()]
    return Solver(
        solver.policy,
        solver.momentum,
        {name: weight.rate for name, weight in weights.items()},
        {name: solver.weight_decay * weight.decay for name, weight in weights.items()},
        solver.epoch_steps(images),
        sha256(b"\0".join(texts)),
    )


def preprocessing_of(net: CaffeNet, network: Network, keep_resize: bool) -> Preprocessing:
    """Return how images enter the network by the net; `keep_resize`: --resize is given, and counts.

    A mean image is its mean per channel, as in pycaffe's classification example. Warns of what is not as in Caffe.
    Raises UsageError for a size that the network does not have.
    """
    ours, transform = network.preprocessing, net.transform
    size = transform.crop or transform.side
    if ours.channel_order != "BGR" or (size and size != ours.size):
        raise UsageError(
            f"{net.path.name}: expected images of {ours.size} pixels in the order {ours.channel_order}, as the network "
            f"takes them, but the net gives {size or ours.size} pixels in the order BGR; choose weights of that input"
        )
    resize, resize_to = ours.resize, ours.resize_to
    if transform.crop:
        resize, resize_to = "crop", transform.side or (resize_to if resize_to > ours.size else 0)
        if transform.side and not keep_resize:
            logger.warning(
                "%s squeezes images to %d × %d pixels; here their short side is resized to as many, and --resize warp "
                "squeezes them to %d × %d", net.path.name, transform.side, transform.side, size, size,
            )  # fmt: skip
    elif transform.side:
        resize, resize_to = "warp", ours.resize_to
    if transform.mean_file:
        logger.warning("%s subtracts the image %s; here it is its mean per channel", net.path.name, transform.mean_file)
    return replace(
        ours,
        mean=mean_of(net),
        std=(1 / transform.scale,) * 3,
        resize=ours.resize if keep_resize else resize,
        resize_to=resize_to,
    )


def mean_of(net: CaffeNet) -> tuple[float, ...]:
    """Return what is subtracted from blue, green and red; raise UsageError if the file of the mean is missing."""
    transform = net.transform
    if not transform.mean_file:
        return transform.mean * 3 if len(transform.mean) == 1 else transform.mean or (0.0, 0.0, 0.0)
    path = find_named(transform.mean_file, net.path.parent)
    if path is None and transform.mean_file.endswith(IMAGENET_MEAN):
        return CAFFE_MEAN_BGR
    if path is None:
        raise UsageError(
            f"{net.path.name}: mean_file {transform.mean_file!r} is neither in the working directory nor next to the "
            "net; put it there, or write mean_value three times in its place"
        )
    mean = read_mean(path)
    if len(mean) != 3:
        raise WeightsError(f"{path.name}: expected a mean image of 3 channels, not {len(mean)}; choose another file")
    return mean


def filled(net: CaffeNet, network: Network, layers: Collection[str], seed: int) -> Arrays:
    """Return starting values of `layers` by the net's fillers; the formulas are in Caffe's include/caffe/filler.hpp.

    Without a filler, a weight starts at 0. Raises UsageError for a filler other than constant, gaussian and xavier.
    """
    theirs = {ours: name for name, ours in _names(net, network).items()}
    tensors: Arrays = {}
    for name, shape in network.weight_shapes().items():
        layer, weight = name.split("/")
        if layer in layers:
            generator = np.random.default_rng([seed, crc32(name.encode())])
            tensors[name] = _filled(net.weights[theirs[layer]][weight].filler, shape, generator)
    return tensors


def _filled(filler: Message, shape: Shape, generator: np.random.Generator) -> NDArray[np.float32]:
    match filler.text("type", "constant"):
        case "constant":
            filler.check_known({"type", "value"})
            return np.full(shape, filler.number("value", 0.0), np.float32)
        case "gaussian":
            filler.check_known({"type", "mean", "std"})
            mean, deviation = np.float32(filler.number("mean", 0.0)), np.float32(filler.number("std", 1.0))
            return mean + deviation * generator.standard_normal(shape, np.float32)
        case "xavier":
            filler.check_known({"type"})
            bound = np.float32(sqrt(3 / prod(shape[:-1])))
            return bound * (2 * generator.random(shape, np.float32) - 1)
        case other:
            raise UsageError(
                f"{filler.place}: expected a filler of type constant, gaussian or xavier, not {other}; train with Caffe"
            )


def _pairs(net: CaffeNet, network: Network) -> Iterator[tuple[Layer | None, Layer | None]]:
    """Yield the layers of both by place; if the net has no dropout, those of the network are not counted."""
    with_dropout = any(isinstance(layer, Dropout) for layer in net.layers)
    return zip_longest(net.layers, (one for one in network.layers if with_dropout or not isinstance(one, Dropout)))


def _same(theirs: Layer, ours: Layer) -> bool:
    """Return whether two layers compute the same from the same weights; the rate of dropout is an option."""
    if isinstance(theirs, Dropout) and isinstance(ours, Dropout):
        return True
    if isinstance(ours, Conv):
        pads = {"valid": 0, "same": ours.kernel_size // 2}
        ours = replace(ours, padding=pads.get(str(ours.padding), ours.padding))
    return replace(theirs, name=ours.name) == ours


def _all_same(net: CaffeNet, name: str) -> bool:
    """Return whether a network of this package, as it is published, has the layers of the net."""
    last = net.layers[-1]
    network = build(name, {"num_classes": last.units} if isinstance(last, Dense) else {})
    return all(theirs and ours and _same(theirs, ours) for theirs, ours in _pairs(net, network))


def _described(layer: Layer | None) -> str:
    if layer is None:
        return "the end"
    settings = ", ".join(f"{one.name} {getattr(layer, one.name)}" for one in fields(layer) if one.name != "name")
    return f"{layer.name} ({type(layer).__name__}: {settings})"


def _names(net: CaffeNet, network: Network) -> Mapping[str, str]:
    """Return the net's name -> the network's name of each layer with weights, where both have the same layers."""
    return dict(zip(net.weights, network.weighted_layers(), strict=True))
