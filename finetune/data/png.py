"""The chunks of a PNG: those that its pixels need, with their checksums checked."""

import struct
import zlib
from typing import NamedTuple

from finetune.errors import ImageError

_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


class Png(NamedTuple):
    """A PNG file with only the chunks that its pixels need, its EXIF block, and its transparent gray, if it has one."""

    data: bytes
    exif: bytes
    transparent: int | None


def read_png(data: bytes) -> Png:
    """Return the chunks that matter; raise ImageError if the file is cut short or one of them is damaged.

    libpng would print lines about other chunks, such as a faulty colour profile, which many valid files have, and about
    every cut file; and OpenCV ignores the transparent colour of a gray image.
    """
    kept, exif, transparent, at, depth, color = [data[:8]], b"", None, 8, 8, 0
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]  # length, kind, content, checksum
        content, at = chunk[8:-4], at + len(chunk)
        if kind == b"eXIf":
            exif = content
        if kind not in _NEEDED:
            continue
        if len(chunk) < 12 + length:
            break
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            raise ImageError(f"the PNG data is damaged (wrong checksum in {kind.decode()})")
        kept.append(chunk)
        if kind == b"IHDR" and length == 13:
            depth, color = content[8:10]
        if kind == b"tRNS" and color == 0:
            transparent = int.from_bytes(content) * max(1, 255 // (2**depth - 1))  # 1 to 4 bits become 8
        if kind == b"IEND":
            return Png(b"".join(kept), exif, transparent)
    raise ImageError("the PNG is cut short (no IEND chunk)")
