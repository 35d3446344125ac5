"""From the bytes of an image file to its upright pixels: the one decoder that training, prediction and export share."""

import logging
from functools import cache
from pathlib import Path
from typing import NamedTuple

from finetune.data.channels import Image
from finetune.data.exif import upright
from finetune.data.header import Header, open_image, read_header
from finetune.data.jpeg import decode_jpeg
from finetune.data.pil_image import to_bgr
from finetune.data.sixteen_bits import eight_bit_colour, has_16_bits
from finetune.errors import ImageError

logger = logging.getLogger(__name__)

_dim: dict[str, bool] = {}  # name of a dim image -> whether a warning has counted it
_BRIGHT = 128  # of 255, which an image of 16 bits reaches; one of 15 bits or fewer in 16 does not


class Decoded(NamedTuple):
    """Upright pixels, (height, width, 3) uint8 in BGR order, and what is doubtful about them.

    `damage`: that of a JPEG in libjpeg's words, or "". `dim`: whether no value of a 16-bit image uses the highest bit,
    as of a camera with 12 bits.
    """

    image: Image
    damage: str
    dim: bool


def decode(data: bytes, short_side: int | None = None, header: Header | None = None) -> Decoded:
    """Decode an image of any of IMAGE_KINDS, of an animation its first frame.

    EXIF orientation is undone, transparency is laid over white, 16 bits become 8 (`finetune.data.sixteen_bits`), and
    gray, palette and CMYK become BGR. `short_side`: how many pixels the short side must keep; a JPEG with at least
    twice as many is decoded at 1/2, 1/4 or 1/8 of its size, averaged by the decoder. `header`: that of the same data,
    if it has been read already.
    The decoder guesses the missing pixels of a damaged JPEG; `damage` then says what is wrong.

    Raises ImageError, with the reason, for data that cannot be decoded and for images of over 100 megapixels.
    """
    header = header or read_header(data)
    if header.format == "JPEG":
        jpeg = decode_jpeg(data, header.width, header.height, short_side)
        if jpeg is None:
            raise ImageError("the JPEG data is damaged or cut short")
        return Decoded(upright(jpeg.image, header.orientation), jpeg.damage, False)
    with open_image(data, header.format) as opened:
        deep = has_16_bits(opened)
        try:
            opened.load()
            cut = deep and not opened.mode.startswith("I;16")
            image = to_bgr(eight_bit_colour(opened, open_image(data, header.format)) if cut else opened)
        except (ImageError, MemoryError):
            raise
        except Exception:  # Pillow raises many kinds for damaged data
            raise ImageError(f"the {header.format} data is damaged or cut short") from None
    return Decoded(upright(image, header.orientation), "", deep and bool(image.max() < _BRIGHT))


def warn_if_doubtful(name: Path | str, damage: str, dim: bool) -> None:
    """Warn, once for each image, that it is damaged; remember that it is dim, for `warn_of_dim_images`."""
    if damage:
        _warn(f"{name} is damaged ({damage}), and the decoder may have guessed pixels; get the file again")
    if dim:
        _dim.setdefault(str(name), False)


def warn_of_dim_images() -> None:
    """Warn of the images that were found to be dim since the last warning, in one line: often all of a set are."""
    names = [name for name, warned in list(_dim.items()) if not warned]
    _dim.update(dict.fromkeys(names, True))
    if not names:
        return
    which, their = (f"{min(names)} is", "its") if len(names) == 1 else (f"{len(names):,} images are", "their")
    such_as = "" if len(names) == 1 else f" ({min(names)}, …)"
    logger.warning(
        "%s dark%s: %s 16-bit values use less than half of their range; scale them to 65535", which, such_as, their
    )


@cache
def _warn(message: str) -> None:
    logger.warning("%s", message)
