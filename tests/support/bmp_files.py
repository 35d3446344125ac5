"""BMP files byte by byte, with headers, masks and palettes that Pillow and OpenCV do not write."""

import struct

import numpy as np
from numpy.typing import NDArray

MASKS_565, MASKS_555 = (0xF800, 0x07E0, 0x001F), (0x7C00, 0x03E0, 0x001F)
USUAL_MASKS = (0xFF0000, 0xFF00, 0xFF)


def bmp(
    rows: NDArray[np.unsignedinteger],
    bits: int,
    *,
    width: int | None = None,
    header: int = 40,
    compression: int = 0,
    masks: tuple[int, ...] = (),
    palette: bytes = b"",
    body: bytes | None = None,
) -> bytes:
    """Return a BMP of rows from the top, whose elements are the stored pixels or, with `width`, bytes of several.

    `header` is the length that says which version it is: 12 OS/2, 40 Windows 3, 52 and 56 with masks, 108, 124. A
    header of 40 has its masks behind it. `body` replaces the rows, as for compressed ones.
    """
    height, columns = rows.shape
    stored = rows.astype(rows.dtype.newbyteorder("<"))
    padding = bytes(-columns * rows.itemsize % 4)
    if body is None:
        body = b"".join(row.tobytes() + padding for row in stored[::-1])
    size = (width or columns, height)
    if header == 12:
        info = struct.pack("<IHHHH", 12, *size, 1, bits)
    else:
        colors = len(palette) // 4
        info = struct.pack("<IiiHHIIiiII", header, *size, 1, bits, compression, len(body), 0, 0, colors, 0)
        info = (info + struct.pack(f"<{len(masks)}I", *masks)).ljust(header, b"\0")
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + palette + body


def packed(red: NDArray[np.integer], green: NDArray[np.integer], blue: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Return red, green and blue in the usual bytes of 32 bits; the fourth is 0."""
    return (red.astype(np.uint32) << 16) | (green.astype(np.uint32) << 8) | blue.astype(np.uint32)
