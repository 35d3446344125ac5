"""EXIF orientation: read it from a file's EXIF block, and turn the decoded pixels upright."""

import struct

import numpy as np

from finetune.data.channels import Image

_ORIENTATION = 0x0112  # Exif 2.3, table 4
_LONG = 4  # the type that some phones write in place of SHORT


def read_orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, in an EXIF block; 1 (upright) if it has none or is damaged."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = ">" if tiff.startswith(b"MM") else "<"
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _ = struct.unpack_from(order + "HHI", tiff, at)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(order + ("I" if kind == _LONG else "H"), tiff, at + 8)
                return value if value in range(1, 9) else 1
    except struct.error:  # a damaged block has no orientation
        pass
    return 1


def upright(image: Image, orientation: int) -> Image:
    """Undo an EXIF orientation: 2 to 4 mirror the image or turn it by 180°, 5 to 8 also swap height and width."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
