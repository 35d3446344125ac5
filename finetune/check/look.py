"""Look at one image: read its bytes, header and pixels once and measure what all the checks need."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.check.perceptual_hash import hash_codes
from finetune.data.channels import Image
from finetune.data.dataset import LabelledFile
from finetune.data.decode import decode
from finetune.data.header import read_header
from finetune.data.images import read_bytes
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import ImageError
from finetune.system.digest import sha256

_NEEDED_SIZE = 64  # pixels of the short side that the measures need; a large JPEG is decoded at a fraction of its size
_COLOUR_LEVELS = 16  # per channel; with more, JPEG noise splits a plain background into several colours
_GRAY = 4  # the most that two channels of a gray image differ by: JPEG rounds gray to colours this close

_COLOUR_MODELS = {
    **dict.fromkeys(("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L"), "gray"),
    **dict.fromkeys(("RGB", "YCbCr"), "RGB"),
    **dict.fromkeys(("RGBA", "RGBa"), "RGB with transparency"),
    **dict.fromkeys(("P", "PA"), "palette"),
}


@dataclass(frozen=True)
class ImageLook:
    """What a look at a file shows; if `error` is set, only that.

    `orientation`: EXIF, 1 is upright. `deviation`: the largest standard deviation of a channel, 0 to 255.
    `main_colour`: the share of pixels with the most frequent colour. `damage`: in the decoder's words, where it guessed
    missing pixels. `dim`: whether a 16-bit image uses less than half of its range. `codes`: perceptual hashes, uint8
    (3, HASH_BITS / 8), of the image, of its mirror image and of the image upside down. `pixels`: the network's input,
    if it was asked for.
    """

    file: LabelledFile
    error: str | None = None
    digest: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    orientation: int = 1
    colour_model: str = ""
    deviation: float = 0.0
    main_colour: float = 0.0
    damage: str = ""
    dim: bool = False
    codes: NDArray[np.uint8] | None = None
    pixels: Image | None = None


def look(file: LabelledFile, preprocessing: Preprocessing | None = None) -> ImageLook:
    """Look at one file; never raises. With `preprocessing`, `pixels` holds the network's input."""
    try:
        data = read_bytes(file.path)
        header = read_header(data)
        short_side = preprocessing.short_side if preprocessing else 0
        short_side = None if short_side is None else max(_NEEDED_SIZE, short_side)
        image, damage, dim = decode(data, short_side, header)
    except ImageError as error:
        return ImageLook(file, str(error))
    step = max(1, min(image.shape[:2]) // _NEEDED_SIZE)
    sample = np.ascontiguousarray(image[::step, ::step])  # 4,000 pixels are enough for statistics of colours
    return ImageLook(
        file,
        digest=sha256(data),
        format=header.format,
        width=header.width,
        height=header.height,
        orientation=header.orientation,
        colour_model=_colour_model(header.mode, sample),
        deviation=float(cv2.meanStdDev(sample)[1].max()),
        main_colour=_main_colour(sample),
        damage=damage,
        dim=dim,
        codes=hash_codes(image),
        pixels=to_input(image, preprocessing) if preprocessing else None,
    )


def _colour_model(mode: str, image: Image) -> str:
    """Return `gray` for an image without colour, whatever the file could hold, or else the file's colour model."""
    blue, green, red = cv2.split(image)
    if max(cv2.absdiff(blue, green).max(), cv2.absdiff(green, red).max()) <= _GRAY:
        return "gray"
    return _COLOUR_MODELS.get(mode, mode)


def _main_colour(image: Image) -> float:
    blue, green, red = (channel.astype(np.uint16) // (256 // _COLOUR_LEVELS) for channel in cv2.split(image))
    counts = np.bincount(((blue * _COLOUR_LEVELS + green) * _COLOUR_LEVELS + red).ravel())
    return float(counts.max() / blue.size)
