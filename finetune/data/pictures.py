"""What a classifier takes as a picture: a path, a URL or an array. One function reads them all."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from finetune.data.decode import Image, decode, read_image, tell_damage, to_input
from finetune.data.preprocessing import Preprocessing
from finetune.data.urls import is_url, read_url
from finetune.errors import ImageError, UsageError

Picture = Path | str | NDArray[np.uint8]
ArrayOrder = Literal["rgb", "bgr"]  # of the channels of an array in colour


def several(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """Return an iterator over the pictures; raise UsageError for a single one, whose rows or letters it would yield."""
    if isinstance(pictures, str | Path) or (isinstance(pictures, np.ndarray) and pictures.ndim < 4):
        kind = f"one array of shape {pictures.shape}" if isinstance(pictures, np.ndarray) else repr(str(pictures))
        raise UsageError(f"expected several pictures, {kind} came; put it into a list: [picture]")
    return iter(pictures)


def place_of(picture: Picture) -> Path | str | None:
    """Return where a picture is: its path, its URL as text, or None for an array."""
    if isinstance(picture, np.ndarray):
        return None
    return picture if isinstance(picture, Path) or is_url(picture) else Path(picture)


def read_picture(
    picture: Picture, preprocessing: Preprocessing, channel_order: ArrayOrder | None = None
) -> Image | ImageError:
    """Return the network input of a picture, as `to_input`, or the error that says why it cannot be read.

    Raises UsageError for an array that is none of those that `array_to_bgr` takes.
    """
    place = place_of(picture)
    try:
        if isinstance(picture, np.ndarray):
            image = array_to_bgr(picture, channel_order)
        elif isinstance(place, Path):
            image = read_image(place, preprocessing.short_side)
        else:
            url = str(place)
            image = decode(read_url(url), preprocessing.short_side, on_damage=partial(tell_damage, url))
        return to_input(image, preprocessing)
    except ImageError as error:
        return error


def array_to_bgr(array: NDArray[Any], channel_order: ArrayOrder | None) -> Image:
    """Return an array as the decoder gives pictures: (height, width, 3) uint8 in BGR order.

    `array` is uint8, (height, width, 3) in the order said, or (height, width) gray. An order is never guessed: RGB
    taken for BGR costs accuracy in silence. Raises UsageError for anything else.
    """
    if array.dtype != np.uint8:
        raise UsageError(f"expected an array of uint8, 0 to 255, {array.dtype} came; convert it")
    gray = array.ndim == 2
    if not (gray or (array.ndim == 3 and array.shape[2] == 3)) or 0 in array.shape:
        raise UsageError(f"expected an array (height, width, 3) or, for gray, (height, width), {array.shape} came")
    if gray:
        return np.repeat(array[..., None], 3, axis=2)
    if channel_order not in ("rgb", "bgr"):
        raise UsageError(
            f"an array in colour needs channel_order, 'rgb' or 'bgr', which is never guessed; {channel_order!r} came"
        )
    return np.ascontiguousarray(array[..., ::-1] if channel_order == "rgb" else array)


def ten_crop_preprocessing(preprocessing: Preprocessing) -> Preprocessing:
    """Return the preprocessing whose input is the larger square that `ten_crops` cuts from."""
    return replace(preprocessing, size=preprocessing.resize_to)


def ten_crops(square: Image, size: int) -> Image:
    """Return (10, size, size, channels): the four corners and the centre of a square picture, then their mirror images.

    Krizhevsky et al. 2012, section 4.1, who average the ten predictions. Corners: top left, top right, bottom left,
    bottom right.
    """
    free = len(square) - size
    places = ((0, 0), (0, free), (free, 0), (free, free), (free // 2, free // 2))
    crops = np.stack([square[top : top + size, left : left + size] for top, left in places])
    return np.concatenate([crops, crops[:, :, ::-1]])
