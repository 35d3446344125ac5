"""`finetune filters`: the kernels of the first convolution, and what a layer's channels answer to a picture."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.classifier import Classifier
from finetune.data.channels import to_rgb
from finetune.errors import ImageError, UsageError
from finetune.explain.drawing import check_out, draw_activations, draw_kernels
from finetune.explain.input import read_one
from finetune.explain.map_layer import check_map_layer, first_convolution

STRONGEST = 16  # four by four maps: more are too small to be told apart beside the photo


class Activation(NamedTuple):
    """What one channel of a layer answers to a picture: its place in the layer and (height, width) float32."""

    channel: int
    map: NDArray[np.float32]


def show_filters(
    classifier: Classifier,
    out: Path,
    layer: str | None = None,
    picture: Path | str | None = None,
    *,
    overwrite: bool = False,
) -> tuple[Activation, ...]:
    """Draw the kernels of a layer, or its strongest activations for a picture, to the PNG `out`; return the latter.

    `layer` is the first convolution unless named, `picture` a path or URL. Raises UsageError for a layer that cannot be
    drawn, ImageError for a picture that cannot be read, RunError when `out` cannot be written or is there already and
    `overwrite` is off.
    """
    check_out(out, overwrite=overwrite)
    network = classifier.model.network
    layer = check_map_layer(network, layer or first_convolution(network))
    if picture is None:
        draw_kernels(out, kernel_pictures(classifier, layer), f"{network.name}: kernels of {layer}")
        return ()
    photo = to_rgb(read_one(picture, network.preprocessing), network.preprocessing.channel_order)
    strongest = strongest_activations(classifier, picture, layer)
    draw_activations(out, f"{Path(picture).name}: strongest channels of {network.name}, {layer}", photo, strongest)
    return strongest


def kernel_pictures(classifier: Classifier, layer: str | None = None) -> NDArray[np.float32]:
    """Return the kernels of the first convolution as pictures: (kernels, height, width, 3) float32 RGB, 0 to 1.

    Each is scaled to its own range, over all channels at once, so that gray stays gray; one that is flat is 0.5
    everywhere. Raises UsageError for another `layer`: its kernels do not lie on colours.
    """
    network = classifier.model.network
    first = first_convolution(network)
    if layer not in (None, first):
        raise UsageError(
            f"--layer: only the kernels of {first} lie on a picture's colours and can be drawn; "
            f"name an IMAGE to see the strongest activations of {layer}"
        )
    kernels = np.moveaxis(np.asarray(classifier.model.weights[f"{first}/kernel"], np.float32), 3, 0)
    low, high = (reduce(kernels, axis=(1, 2, 3), keepdims=True) for reduce in (np.min, np.max))
    scaled = np.divide(kernels - low, high - low, out=np.full_like(kernels, 0.5), where=high > low)
    return to_rgb(scaled, network.preprocessing.channel_order)


def strongest_activations(
    classifier: Classifier, picture: Path | str, layer: str | None = None
) -> tuple[Activation, ...]:
    """Return the channels of a layer with the largest value in any place, the largest first, STRONGEST at most.

    A convolution's output is taken after its ReLU. `layer` is the first convolution unless named. Raises UsageError for
    one without height and width, ImageError for a picture that cannot be read.
    """
    network = classifier.model.network
    layer = check_map_layer(network, layer or first_convolution(network))
    features = next(classifier.features([picture], layer))
    if features.values is None:
        raise ImageError(f"{picture}: {features.error}")
    best = np.argsort(-features.values.max(axis=(0, 1)), kind="stable")[:STRONGEST]
    return tuple(Activation(int(channel), features.values[..., channel]) for channel in best)
