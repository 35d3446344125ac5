"""What one look at one picture shows: bytes, header and pixels, decoded once."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.data.channels import Image
from finetune.data.dataset import Found
from finetune.data.decode import decode
from finetune.data.header import read_header
from finetune.data.images import read_bytes
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing
from finetune.data.resize import resize
from finetune.errors import ImageError

HASH_BITS = 256  # 16 × 16 coefficients; 64 do not tell 2 % cropped copies from other photos (hymenoptera: 12 and 14)
_DCT_SIDE = 64  # four pixels a coefficient, as in Zauner's pHash
_NEEDED_SIDE = 64  # short side in pixels that all of this needs; a larger JPEG is decoded at a fraction
_COLOUR_LEVELS = 16  # a channel; finer ones tell a plain ground from its JPEG noise
_GRAY = 4  # what two channels of a picture without colour may differ by: JPEG rounds gray to colours as near as that

_COLOUR_MODELS = {
    **dict.fromkeys(("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L"), "gray"),
    **dict.fromkeys(("RGB", "YCbCr"), "RGB"),
    **dict.fromkeys(("RGBA", "RGBa"), "RGB with transparency"),
    **dict.fromkeys(("P", "PA"), "palette"),
}


@dataclass(frozen=True)
class Seen:
    """What a look at a file shows; after an error, nothing but that.

    `orientation`: EXIF, 1 is upright. `deviation`: the largest standard deviation of a channel, 0 to 255.
    `main_colour`: share of the pixels that have the most frequent colour. `damage`: in the decoder's words, where it
    guessed what is missing. `codes`: perceptual hashes, uint8 (3, HASH_BITS / 8), of the picture, its mirror image and
    the picture upside down. `pixels`: network input where it was asked for.
    """

    file: Found
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
    codes: NDArray[np.uint8] | None = None
    pixels: Image | None = None


def look(file: Found, preprocessing: Preprocessing | None = None) -> Seen:
    """Return what the file shows, with the network's input where `preprocessing` says what that is; never raises."""
    try:
        data = read_bytes(file.path)
        header = read_header(data)
        side = max(_NEEDED_SIDE, preprocessing.short_side if preprocessing else 0)
        image, damage = decode(data, side, header)
    except ImageError as error:
        return Seen(file, str(error))
    step = max(1, min(image.shape[:2]) // _NEEDED_SIDE)
    some = np.ascontiguousarray(image[::step, ::step])  # for statistics of colours 4,000 pixels are enough
    return Seen(
        file,
        digest=hashlib.sha256(data).hexdigest(),
        format=header.format,
        width=header.width,
        height=header.height,
        orientation=header.orientation,
        colour_model=_colour_model(header.mode, some),
        deviation=float(cv2.meanStdDev(some)[1].max()),
        main_colour=_main_colour(some),
        damage=damage,
        codes=hash_codes(image),
        pixels=to_input(image, preprocessing) if preprocessing else None,
    )


def hash_codes(image: Image) -> NDArray[np.uint8]:
    """Return the perceptual hashes (3, HASH_BITS / 8) of a picture, of its mirror image, and of it upside down.

    Zauner 2010, “Implementation and Benchmarking of Perceptual Image Hash Functions”: the lowest 16 × 16 coefficients
    of the discrete cosine transform of the gray picture, each above their median or not. A mirror image has the same
    coefficients but for the sign of the odd ones.
    """
    gray = resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), _DCT_SIDE, _DCT_SIDE).astype(np.float32)  # type: ignore[arg-type]
    side = int(HASH_BITS**0.5)
    low = cv2.dct(gray)[:side, :side]
    signs = np.where(np.arange(side) % 2, -1, 1)
    turned = np.stack([low, low * signs, low * signs[:, None]]).reshape(3, HASH_BITS)
    middle = np.sort(turned, axis=1)[:, HASH_BITS // 2 - 1 : HASH_BITS // 2 + 1]
    return np.packbits(turned > middle.mean(axis=1, keepdims=True), axis=1)  # the median, at a tenth of its time


def _colour_model(mode: str, image: Image) -> str:
    """Return `gray` for pictures without colour, whatever the file could hold, else the file's colour model."""
    blue, green, red = cv2.split(image)
    if max(cv2.absdiff(blue, green).max(), cv2.absdiff(green, red).max()) <= _GRAY:
        return "gray"
    return _COLOUR_MODELS.get(mode, mode)


def _main_colour(image: Image) -> float:
    blue, green, red = (channel.astype(np.uint16) // (256 // _COLOUR_LEVELS) for channel in cv2.split(image))
    counts = np.bincount(((blue * _COLOUR_LEVELS + green) * _COLOUR_LEVELS + red).ravel())
    return float(counts.max() / blue.size)
