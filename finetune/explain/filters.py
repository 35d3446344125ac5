"""`finetune filters`: kernels of the first convolution, channels that an image activates, and optimized images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune.classifier import Classifier
from finetune.data.channels import to_rgb
from finetune.data.images import read_input_or_raise
from finetune.data.inputs import Input
from finetune.errors import ImageError, UsageError
from finetune.explain.drawing import draw_activations, draw_kernels, draw_tiles
from finetune.explain.map_layer import check_channels, check_map_layer, first_convolution
from finetune.explain.types import Activation, OptimizedImage
from finetune.networks.layer_outputs import LINEAR, before_relu, output_shapes
from finetune.system.figure_file import FIGURE_ENDINGS
from finetune.system.output_file import check_output_file
from finetune.system.quiet import import_tensorflow

STRONGEST = 16  # four by four maps: more would be too small next to the image
TILE = 2.2  # inches of an optimized image


def show_filters(
    classifier: Classifier,
    out: Path,
    layer: str | None = None,
    image: Input | None = None,
    channels: Sequence[int] = (),
    *,
    overwrite: bool = False,
) -> tuple[Activation, ...]:
    """Draw to `out`, a .png, .pdf or .svg, the kernels of a layer or, with `image`, its activations; return those.

    `layer` is by default the first convolution, `image` a path or URL, `channels` by default the strongest. Raises
    UsageError for a layer or channel that cannot be drawn, ImageError when the image cannot be read, RunError when
    `out` cannot be written, or exists and `overwrite` is off.
    """
    check_output_file(out, FIGURE_ENDINGS, overwrite=overwrite)
    network = classifier.model.network
    layer = check_map_layer(network, layer or first_convolution(network))
    if image is None:
        if channels:
            raise UsageError("--channel needs images, or --optimize; omit it to draw all kernels")
        draw_kernels(out, kernel_images(classifier, layer), f"{network.name}: kernels of {layer}")
        return ()
    rgb = to_rgb(read_input_or_raise(image, network.preprocessing), network.preprocessing.channel_order)
    strongest = strongest_activations(classifier, image, layer, channels)
    which = "channels" if channels else "strongest channels"
    draw_activations(out, f"{Path(str(image)).name}: {which} of {network.name}, {layer}", rgb, strongest)
    return strongest


def show_optimized_images(
    classifier: Classifier, out: Path, layer: str | None, channels: Sequence[int], *, overwrite: bool = False
) -> tuple[OptimizedImage, ...]:
    """Draw to `out`, a .png, .pdf or .svg, the image that drives each channel of a layer most, and return the images.

    `GradientAscent` makes them. `layer` is by default the first convolution. Raises UsageError for a layer that is not
    a convolution or fully connected layer, or for a channel that it does not have, RunError when `out` cannot be
    written, or exists and `overwrite` is off.
    """
    check_output_file(out, FIGURE_ENDINGS, overwrite=overwrite)
    network = classifier.model.network
    layer = (layer or first_convolution(network)).removesuffix(LINEAR)
    before = before_relu(network, layer)
    check_channels(layer, output_shapes(network, [layer])[layer][-1], channels)
    if not channels:
        raise UsageError(f"--optimize needs the channels to draw; give --channel, e.g. --layer {layer} --channel 0")
    import_tensorflow()
    from finetune.explain.gradient_ascent import GradientAscent

    ascent = GradientAscent(classifier, layer)
    images = tuple(ascent.image(channel) for channel in channels)
    tiles = [(f"channel {channel}: {value:.4g}", image) for channel, image, value in images]
    draw_tiles(out, f"{network.name}: images made for channels of {before}", tiles, TILE)
    return images


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
    classifier: Classifier, image: Input, layer: str | None = None, channels: Sequence[int] = ()
) -> tuple[Activation, ...]:
    """Return the maps of `channels` or, without, of the STRONGEST with the largest maximum, the largest first.

    The output of a convolution is taken after its ReLU. `layer` is by default the first convolution. Raises UsageError
    for a layer without height and width and for a channel that it does not have, ImageError when the image cannot be
    read.
    """
    network = classifier.model.network
    layer = check_map_layer(network, layer or first_convolution(network))
    check_channels(layer, output_shapes(network, [layer])[layer][-1], channels)
    features = next(classifier.features([image], layer))
    if features.values is None:
        raise ImageError(f"{image}: {features.error}")
    best = np.argsort(-features.values.max(axis=(0, 1)), kind="stable")[:STRONGEST]
    return tuple(Activation(int(channel), features.values[..., channel]) for channel in channels or best)
