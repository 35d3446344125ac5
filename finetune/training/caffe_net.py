"""Caffe's train_val.prototxt: how images enter the network, the layers, and how fast each of their weights learns.

Fields and their defaults from BVLC's src/caffe/proto/caffe.proto. Only what is trained counts: layers of the phase TEST
are ignored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from finetune.errors import UsageError
from finetune.formats.prototxt import Message, read_prototxt
from finetune.networks.layers import Conv, Dense, Dropout, Layer, LocalResponseNorm, MaxPool
from finetune.training.caffe_v1 import upgraded

# The message of a layer that reads images, by its type, with its fields; most name files or say how they are read.
_SOURCES = {"source", "backend", "prefetch", "rand_skip", "shuffle", "root_folder", "force_encoded_color"}
_DATA = {
    "Data": ("data_param", _SOURCES | {"batch_size"}),
    "ImageData": ("image_data_param", _SOURCES | {"batch_size", "new_height", "new_width", "is_color"}),
}
_TRANSFORM = {"mirror", "crop_size", "mean_file", "mean_value", "scale", "force_color"}
_COMMON = {"name", "type", "bottom", "top", "phase", "include", "exclude"}
_CONVOLUTION = {"num_output", "kernel_size", "stride", "pad", "group", "weight_filler", "bias_filler", "engine"}
_INNER_PRODUCT = {"num_output", "weight_filler", "bias_filler"}


class NetWeight(NamedTuple):
    """A weight of a layer: its factors `lr_mult` and `decay_mult`, and the message that says how it starts fresh."""

    rate: float
    decay: float
    filler: Message


@dataclass(frozen=True)
class Transform:
    """How an image enters the network: (pixel - mean) · scale, after a random crop, half of them mirrored.

    `mean`: blue, green, red, or one value for all, in units of 0 to 255; empty where nothing is subtracted.
    `mean_file`: in its place, a file with the mean image. `crop`: side of the crop in pixels, 0 for none. `side`: to
    how many pixels both sides of an image are squeezed before, 0 where the file does not say.
    """

    mean: tuple[float, ...]
    mean_file: str
    scale: float
    crop: int
    mirror: bool
    side: int


@dataclass(frozen=True)
class CaffeNet:
    """A net as its file describes it.

    `layers`: under the net's own names, in forward order. `weights`: the same name -> kernel and bias.
    """

    path: Path
    batch_size: int
    transform: Transform
    layers: tuple[Layer, ...]
    weights: Mapping[str, Mapping[str, NetWeight]]


def read_net(path: Path) -> CaffeNet:
    """Return the net in a file; raise UsageError for what it cannot be trained with here."""
    net = read_prototxt(path)
    net.check_known({"name", "layer", "layers"})
    messages = (*net.messages("layer"), *map(upgraded, net.messages("layers")))
    named = [replace(layer, place=f"{path.name}, layer {layer.text('name')}") for layer in messages]
    trained = [layer for layer in named if _in_training(layer) and layer.text("type") != "Accuracy"]
    kinds = [layer.text("type") for layer in trained]
    if not trained or kinds[0] not in _DATA or kinds[-1] != "SoftmaxWithLoss":
        raise UsageError(
            f"{path.name}: expected a layer of type Data or ImageData first and one of type SoftmaxWithLoss last, but "
            f"found {f'{kinds[0]} and {kinds[-1]}' if kinds else 'no layers'}; train with Caffe"
        )
    data, *middle, loss = trained
    _check_chain(trained)
    loss.check_known(_COMMON)
    batch_size, transform = _data(data)
    layers: list[Layer] = []
    weights: dict[str, dict[str, NetWeight]] = {}
    for message in middle:
        if message.text("type") == "ReLU":
            layers[-1:] = [_with_relu(message, layers[-1:])]
        else:
            layers.append(_layer(message))
            if isinstance(layers[-1], Conv | Dense):
                weights[layers[-1].name] = _weights(message)
    if len({layer.name for layer in layers}) < len(layers):
        raise UsageError(f"{path.name}: two layers have the same name; rename one")
    return CaffeNet(path, batch_size, transform, tuple(layers), weights)


def _in_training(layer: Message) -> bool:
    """Return whether a layer is part of the net in the phase TRAIN."""
    included, excluded = ([_phase(rule) for rule in layer.messages(key)] for key in ("include", "exclude"))
    return ("TRAIN" in included if included else "TRAIN" not in excluded) and layer.text("phase", "TRAIN") == "TRAIN"


def _phase(rule: Message) -> str:
    rule.check_known({"phase"})
    return rule.text("phase")


def _check_chain(layers: Sequence[Message]) -> None:
    """Raise UsageError unless each layer reads what the one before it writes."""
    top = layers[0].texts("top")[:1]
    for layer in layers[1:]:
        if layer.texts("bottom")[:1] != top:
            raise UsageError(
                f"{layer.place}: expected its bottom to be {''.join(top) or 'data'}, so that all layers are one chain; "
                "train with Caffe"
            )
        top = layer.texts("top")[:1]


def _data(layer: Message) -> tuple[int, Transform]:
    """Return the batch size, and how an image enters the network."""
    name, known = _DATA[layer.text("type")]
    layer.check_known({*_COMMON, "transform_param", name})
    data, transform = layer.message(name), layer.message("transform_param")
    data.check_known(known)
    transform.check_known(_TRANSFORM)
    height, width = data.whole("new_height", 0), data.whole("new_width", 0)
    if height != width:
        raise UsageError(f"{data.place}: expected new_height and new_width to be equal, not {height} and {width}")
    if data.text("is_color", "true") != "true":
        raise UsageError(f"{data.place}: expected images in colour, not is_color: false; train with Caffe")
    mean, mean_file = transform.numbers("mean_value"), transform.text("mean_file", "")
    if len(mean) not in (0, 1, 3) or (mean and mean_file):
        raise UsageError(
            f"{transform.place}: expected mean_value once or three times, or mean_file, but found {len(mean)} values"
            f"{' and a file' if mean_file else ''}; keep one of them"
        )
    crop = transform.whole("crop_size", 0)
    if 0 < height < crop:
        raise UsageError(f"{data.place}: expected new_height of {crop} or more, the crop_size, not {height}")
    batch_size = data.whole("batch_size", 1 if name == "image_data_param" else None)
    scale = transform.number("scale", 1.0)
    if not (scale > 0 and batch_size > 0):
        raise UsageError(f"{layer.place}: expected batch_size and scale above 0, not {batch_size} and {scale:g}")
    return batch_size, Transform(mean, mean_file, scale, crop, transform.flag("mirror"), height)


def _layer(message: Message) -> Layer:
    """Return a layer as this package describes it; raise UsageError for a kind or a setting that none of ours has."""
    name = message.text("name")
    match message.text("type"):
        case "Convolution":
            own = _parameters(message, "convolution_param", _CONVOLUTION, has_weights=True)
            window = own.whole("kernel_size"), own.whole("stride", 1), own.whole("pad", 0)
            return Conv(name, own.whole("num_output"), *window, own.whole("group", 1), relu=False)
        case "InnerProduct":
            own = _parameters(message, "inner_product_param", _INNER_PRODUCT, has_weights=True)
            return Dense(name, own.whole("num_output"), relu=False)
        case "Pooling":
            own = _parameters(message, "pooling_param", ("pool", "kernel_size", "stride", "engine"))
            if own.text("pool", "MAX") == "MAX":
                return MaxPool(name, own.whole("kernel_size"), own.whole("stride", 1))
            raise UsageError(f"{own.place}: expected pool: MAX, not {own.text('pool')}; train with Caffe")
        case "LRN":
            own = _parameters(message, "lrn_param", ("local_size", "alpha", "beta", "k", "engine"))
            numbers = own.number("alpha", 1.0), own.number("beta", 0.75), own.number("k", 1.0)
            return LocalResponseNorm(name, own.whole("local_size", 5), *numbers)
        case "Dropout":
            return Dropout(name, _parameters(message, "dropout_param", ("dropout_ratio",)).number("dropout_ratio", 0.5))
        case kind:
            raise UsageError(
                f"{message.place}: expected Convolution, ReLU, Pooling, LRN, InnerProduct or Dropout, but its type is "
                f"{kind}, which no network here has; train with Caffe"
            )


def _parameters(message: Message, name: str, known: Iterable[str], has_weights: bool = False) -> Message:
    """Return the message with a layer's settings, which are all among the `known`."""
    message.check_known({*_COMMON, name, *(("param",) if has_weights else ())})
    own = message.message(name)
    own.check_known(set(known))
    return own


def _with_relu(message: Message, before: Sequence[Layer]) -> Layer:
    """Return the layer before a ReLU as one that has it."""
    message.check_known(_COMMON)
    if before and isinstance(before[0], Conv | Dense):
        return replace(before[0], relu=True)
    raise UsageError(f"{message.place}: expected a ReLU after a Convolution or an InnerProduct only; train with Caffe")


def _weights(message: Message) -> dict[str, NetWeight]:
    """Return kernel and bias of a layer; what `param` does not give has the factors 1, as in Caffe."""
    params = message.messages("param")
    if len(params) > 2:
        raise UsageError(f"{message.place}: expected param for weights and biases, but it is given {len(params)} times")
    own = message.message("convolution_param" if message.text("type") == "Convolution" else "inner_product_param")
    weights = {}
    for place, (name, filler) in enumerate((("kernel", "weight_filler"), ("bias", "bias_filler"))):
        param = params[place] if place < len(params) else Message(message.place)
        param.check_known({"lr_mult", "decay_mult"})
        factors = param.number("lr_mult", 1.0), param.number("decay_mult", 1.0)
        weights[name] = NetWeight(*factors, own.message(filler))
        if min(factors) < 0:
            raise UsageError(f"{param.place}: expected lr_mult and decay_mult of 0 or more; correct them")
    return weights
