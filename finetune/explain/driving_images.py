"""Which images drive a channel most, and what of them its units see: Zeiler and Fergus 2014, figure 2."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune.classifier import Classifier
from finetune.data.channels import Image, to_rgb
from finetune.data.images import read_input_or_raise
from finetune.data.inputs import Input
from finetune.data.unread import Unread
from finetune.errors import DataError, UsageError, WeightsError
from finetune.explain.drawing import draw_tiles
from finetune.explain.filters import STRONGEST
from finetune.explain.map_layer import MOST, check_channels, first_convolution
from finetune.explain.types import DrivenChannel, DrivingImage
from finetune.networks.layer_outputs import LINEAR
from finetune.networks.network import Network
from finetune.networks.receptive_field import receptive_field, seen_pixels
from finetune.system.figure_file import FIGURE_ENDINGS
from finetune.system.output_file import check_output_file
from finetune.system.progress import track

logger = logging.getLogger(__name__)

TOP = 9  # three by three, as in the paper
MOST_NAMED = 10  # images that were not read
TILE = 0.75  # inches of an image in a sheet
OUTSIDE = 225  # light gray, so that the size of every crop is seen


@dataclass(frozen=True)
class DrivingImages:
    """The channels with what drives them, the number of images, and why some were not read."""

    channels: tuple[DrivenChannel, ...]
    images: int
    unread: Unread


def show_driving_images(
    classifier: Classifier,
    out: Path,
    images: Iterable[Input],
    layer: str | None = None,
    channels: Sequence[int] = (),
    top: int = TOP,
    *,
    overwrite: bool = False,
) -> DrivingImages:
    """Draw to `out`, a .png, .pdf or .svg, what drives each channel, unless no image can be read; return it.

    The arguments are those of `driving_images`; `layer` is by default the first convolution. Raises what that raises,
    and RunError when `out` cannot be written, or exists and `overwrite` is off.
    """
    check_output_file(out, FIGURE_ENDINGS, overwrite=overwrite)
    network = classifier.model.network
    layer = layer or first_convolution(network)
    found = driving_images(classifier, images, layer, channels, top)
    for channel, strongest in found.channels:
        if not strongest:
            logger.warning("channel %d of %s is not drawn: no image drives it, all its values are 0", channel, layer)
    if found.channels:
        title = f"{network.name}, {layer}: images that drive each channel"
        side = ceil(sqrt(top))
        tiles = [
            (f"channel {channel}: {strongest[0].value:.4g} to {strongest[-1].value:.4g}", _mosaic(strongest, side))
            for channel, strongest in found.channels
            if strongest
        ]
        draw_tiles(out, title, tiles, max(2.0, side * TILE))
    return found


def driving_images(
    classifier: Classifier, images: Iterable[Input], layer: str, channels: Sequence[int] = (), top: int = TOP
) -> DrivingImages:
    """Return for each channel the `top` images (paths or URLs) in which the largest of its units is largest.

    Without `channels`, those are the STRONGEST with the largest value. A layer that has a ReLU is what follows it;
    "conv5:linear" is conv5 before it. An image counts once, with its strongest unit, and of equal ones the first wins;
    one that gives 0 does not drive a channel. Memory does not grow with the number of images; those that are shown are
    read again at the end. Raises UsageError for an unknown layer or channel, DataError if no image drives one,
    WeightsError if a value is not finite, ImageError if an image changed meanwhile.
    """
    network = classifier.model.network
    count = classifier.feature_shapes([layer])[layer][-1]
    check_channels(layer, count, channels)
    if not 1 <= top <= MOST:
        raise UsageError(f"--top must be 1 to {MOST}, not {top}")
    strongest, unread, number = _TopList(top, count), Unread(), 0
    for features in track(classifier.features(images, layer, folders=False), None, f"values of {layer}", "images"):
        number += 1
        if features.values is None:
            unread.add(features.error or "")
            if unread.counts.total() <= MOST_NAMED:
                logger.warning("not read: %s: %s", features.path, features.error)
        else:
            strongest.add(str(features.path), features.values.reshape(-1, count))
    if number == unread.counts.total():
        return DrivingImages((), number, unread)
    order = np.argsort(-strongest.values[0], kind="stable")
    chosen = list(channels) or [int(channel) for channel in order if strongest.of(channel)][:STRONGEST]
    if not any(strongest.of(channel) for channel in chosen):
        raise DataError(f"no image drives these channels of {layer}: all values are 0; give other images or channels")
    return DrivingImages(_read_again(network, layer, strongest, chosen), number, unread)


class _TopList:
    """For every channel the strongest values so far, (most, channels), with their images and places in the map."""

    def __init__(self, most: int, channels: int) -> None:
        self.values = np.full((most, channels), -np.inf, np.float32)
        self.names = np.full((most, channels), None, object)
        self.places = np.zeros((most, channels), np.int64)

    def add(self, name: str, values: NDArray[np.float32]) -> None:
        """Take an image into account, whose `values` are (units, channels)."""
        places = values.argmax(axis=0)
        largest = values[places, np.arange(values.shape[1])]
        if not np.isfinite(largest).all():
            raise WeightsError(f"the output for {name} is not finite: the weights are damaged; get another file")
        better = np.flatnonzero((largest > self.values[-1]) & (largest != 0))  # 0: off, after a ReLU
        names = np.full(len(better), name, object)
        for kept, new in ((self.places, places[better]), (self.names, names), (self.values, largest[better])):
            kept[-1, better] = new  # in place of the weakest
        order = np.argsort(-self.values[:, better], axis=0, kind="stable")
        for kept in (self.places, self.names, self.values):
            kept[:, better] = np.take_along_axis(kept[:, better], order, axis=0)

    def of(self, channel: int) -> list[tuple[str, float, int]]:
        """Return the images of a channel, the strongest first: name, value and place."""
        found = zip(self.names[:, channel], self.values[:, channel], self.places[:, channel], strict=True)
        return [(name, float(value), int(place)) for name, value, place in found if name is not None]


def _read_again(
    network: Network, layer: str, strongest: _TopList, channels: Sequence[int]
) -> tuple[DrivenChannel, ...]:
    """Return the channels with the crops of their images, each of which is read once more."""
    entries = {channel: strongest.of(channel) for channel in channels}
    names = sorted({name for found in entries.values() for name, _, _ in found})
    order = network.preprocessing.channel_order
    pixels = {name: to_rgb(read_input_or_raise(name, network.preprocessing), order) for name in names}
    return tuple(
        DrivenChannel(
            channel,
            tuple(DrivingImage(name, value, crop(network, layer, pixels[name], place)) for name, value, place in found),
        )
        for channel, found in entries.items()
    )


def crop(network: Network, layer: str, pixels: Image, place: int) -> Image:
    """Return what a unit of a layer sees of the network's input, (side, side, 3); beyond the input it is gray.

    `place`: the unit's in the map, row by row. All crops of a layer are as large as the most that a unit sees.
    """
    name = layer.removesuffix(LINEAR)
    units = _units(network, name)
    side = max(len(seen_pixels(network, name, unit)) for unit in range(units))
    row, column = divmod(place, units)
    rows, columns = seen_pixels(network, name, row), seen_pixels(network, name, column)
    # What is missing above or on the left was cut off there.
    top = side - len(rows) if receptive_field(network, name, row).start < 0 else 0
    left = side - len(columns) if receptive_field(network, name, column).start < 0 else 0
    seen = np.full((side, side, 3), OUTSIDE, np.uint8)
    part = pixels[rows.start : rows.stop, columns.start : columns.stop]
    seen[top : top + len(rows), left : left + len(columns)] = part
    return seen


def _units(network: Network, layer: str) -> int:
    """Return how many units of one channel lie along a side."""
    shape = next(step.output_shape for step in network.steps() if step.layer.name == layer)
    return shape[0] if len(shape) == 3 else 1


def _mosaic(images: Sequence[DrivingImage], side: int) -> Image:
    """Return the crops as `side` rows of as many, with white lines between them."""
    tile = len(images[0].crop)
    gap = max(1, tile // 24)
    drawn = np.full(((tile + gap) * side - gap, (tile + gap) * side - gap, 3), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = ((tile + gap) * each for each in divmod(number, side))
        drawn[top : top + tile, left : left + tile] = image.crop
    return drawn
