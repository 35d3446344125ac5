"""BMPs whose bit fields Pillow does not read: any masks of contiguous bits, as bmpsuite's rgb32bf.bmp has them.

Microsoft's "Bitmap Header Types": masks follow a header of 40 bytes and are part of longer ones.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from finetune.errors import ImageError

_BITFIELDS, _ALPHA_BITFIELDS = 3, 6
_MOST_BYTES = 4 * 100_000_000  # those of 100 megapixels, the limit of all images

_USUAL = {  # which Pillow reads itself: red, green, blue, alpha
    *((0xFF0000, 0xFF00, 0xFF, alpha) for alpha in (0, 0xFF000000)),
    *((0xFF000000, 0xFF0000, 0xFF00, alpha) for alpha in (0, 0xFF)),
    *((0xFF000000, 0xFF00, 0xFF, alpha) for alpha in (0, 0xFF0000)),
    *((0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0), (0, 0, 0, 0)),
}


def with_usual_masks(data: bytes) -> bytes:
    """Return a BMP with rare bit fields as one with eight bits for each channel; any other file as it is.

    Raises ImageError if its pixels are cut short.
    """
    try:
        start, size, width, height, bits, compression = struct.unpack_from("<10xIIii2xHI", data)
        masks = struct.unpack_from("<4I", data, 54)
    except struct.error:
        return data
    if size < 56 and compression != _ALPHA_BITFIELDS:
        masks = (*masks[:3], 0)
    if size < 40 or bits not in (16, 32) or compression not in (_BITFIELDS, _ALPHA_BITFIELDS):
        return data
    if (masks in _USUAL and compression == _BITFIELDS) or not all(map(_is_contiguous, masks)) or not any(masks[:3]):
        return data
    if width < 1 or not height:
        return data
    row = -(-width * bits // 32) * 4
    if row * abs(height) > _MOST_BYTES:
        return data
    if start + row * abs(height) > len(data):
        raise ImageError("the BMP data is damaged or cut short")
    stored = np.frombuffer(data, f"<u{bits // 8}", row * 8 // bits * abs(height), start)
    values = stored.reshape(abs(height), -1)[:, :width]
    red, green, blue, alpha = masks
    opaque = np.full(values.shape, 255, np.uint8)
    channels = [*(_channel(values, mask) for mask in (blue, green, red)), _channel(values, alpha) if alpha else opaque]
    info = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, _BITFIELDS, 0, 0, 0, 0, 0)
    info += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000 if alpha else 0)
    body = np.dstack(channels).tobytes()
    return b"BM" + struct.pack("<IHHI", 122 + len(body), 0, 0, 122) + info.ljust(108, b"\0") + body


def _is_contiguous(mask: int) -> bool:
    ones = _ones(mask)
    return not ones & (ones + 1)


def _ones(mask: int) -> int:
    """Return a mask without the zeros below it."""
    return mask // (mask & -mask) if mask else 0


def _channel(values: NDArray[np.unsignedinteger], mask: int) -> NDArray[np.uint8]:
    """Return the bits under a mask, cut to eight, or fewer scaled so that all of them are 255."""
    ones = _ones(mask)
    bits, below = ones.bit_length(), mask.bit_length() - ones.bit_length()
    if bits > 8:
        return (values >> (below + bits - 8)).astype(np.uint8)  # what is above the mask has no place in eight bits
    scaled = np.round(np.arange(ones + 1) * 255 / max(ones, 1)).astype(np.uint8)
    return scaled[values >> below & ones]
