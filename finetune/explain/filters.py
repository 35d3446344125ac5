"""`finetune filters`: the kernels of the first convolution, or the channels that an image activates most."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune.classifier import Classifier
from finetune.data.channels import to_rgb
from finetune.data.images import read_input_or_raise
from finetune.errors import ImageError, UsageError
from finetune.explain.drawing import check_out, draw_activations, draw_kernels
from finetune.explain.map_layer import check_map_layer, first_convolution
from finetune.explain.types import Activation

STRONGEST = 16  # four by four maps: more would be too small next to the image


def show_filters(
    classifier: Classifier,
    out: Path,
    layer: str | None = None,
    image: Path | str | None = None,
    *,
    overwrite: bool = False,
) -> tuple[Activation, ...]:
    """Draw to the PNG `out` the kernels of a layer or, if `image` is given, its strongest activations; return those.

    `layer` is by default the first convolution, `image` a path or URL. Raises UsageError for a layer that cannot be
    drawn, ImageError when the image cannot be read, RunError when `out` cannot be written, or exists and `overwrite` is
    off.
    """
    check_out(out, overwrite=overwrite)
    network = classifier.model.network
    layer = check_map_layer(network, layer or first_convolution(network))
    if image is None:
        draw_kernels(out, kernel_images(classifier, layer), f"{network.name}: kernels of {layer}")
        return ()
    rgb = to_rgb(read_input_or_raise(image, network.preprocessing), network.preprocessing.channel_order)
    strongest = strongest_activations(classifier, image, layer)
    draw_activations(out, f"{Path(image).name}: strongest channels of {network.name}, {layer}", rgb, strongest)
    return strongest


def kernel_images(classifier: Classifier, layer: str | None = None) -> NDArray[np.float32]:
    """Return the kernels of the first convolution as images: (kernels, height, width, 3) float32 RGB, 0 to 1.

    Each is scaled to its own range, over all channels at once, so that gray stays gray; a constant one becomes 0.5.
    Raises UsageError for another `layer`: its kernels do not work on colours.
    """
    network = classifier.model.network
    first = first_convolution(network)
    if layer not in (None, first):
        raise UsageError(
            f"--layer: only the kernels of {first} work on colours and can be drawn; "
            f"give an IMAGE to draw the strongest activations of {layer}"
        )
    kernels = np.moveaxis(np.asarray(classifier.model.weights[f"{first}/kernel"], np.float32), 3, 0)
    low, high = (reduce(kernels, axis=(1, 2, 3), keepdims=True) for reduce in (np.min, np.max))
    scaled = np.divide(kernels - low, high - low, out=np.full_like(kernels, 0.5), where=high > low)
    return to_rgb(scaled, network.preprocessing.channel_order)


def strongest_activations(
    classifier: Classifier, image: Path | str, layer: str | None = None
) -> tuple[Activation, ...]:
    """Return the channels of a layer with the largest maximum, the largest first, STRONGEST at most.

    The output of a convolution is taken after its ReLU. `layer` is by default the first convolution. Raises UsageError
    for a layer without height and width, ImageError when the image cannot be read.
    """
    network = classifier.model.network
    layer = check_map_layer(network, layer or first_convolution(network))
    features = next(classifier.features([image], layer))
    if features.values is None:
        raise ImageError(f"{image}: {features.error}")
    best = np.argsort(-features.values.max(axis=(0, 1)), kind="stable")[:STRONGEST]
    return tuple(Activation(int(channel), features.values[..., channel]) for channel in best)
