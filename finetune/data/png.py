"""The chunks of a PNG: those that its pixels need, with their checksums checked."""

import struct
import zlib
from typing import NamedTuple

from finetune.errors import ImageError

_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


class Png(NamedTuple):
    """A PNG file with only the chunks that its pixels need, and what others say.

    That is its EXIF block, how many bits of a sample it uses, and its transparent gray of 2 or 4 bits, scaled to 8.
    """

    data: bytes
    exif: bytes
    bits: int
    transparent: int | None


def read_png(data: bytes) -> Png:
    """Return the chunks that matter; raise ImageError if the file is cut short or one of them is damaged.

    Pillow would refuse files for faults in other chunks, such as long comments, does not check the checksums of pixels,
    and does not scale a transparent gray with the pixels.
    """
    kept, exif, bits, transparent, depth, color, at = [data[:8]], b"", 16, None, 8, 0, 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]  # length, kind, content, checksum
        content, at = chunk[8:-4], at + len(chunk)
        if kind == b"eXIf":
            exif = content
        if kind == b"sBIT" and content:
            bits = max(content)
        if kind not in _NEEDED:
            continue
        if len(chunk) < 12 + length:
            break
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            raise ImageError(f"the PNG data is damaged (wrong checksum in {kind.decode()})")
        kept.append(chunk)
        if kind == b"IHDR" and length == 13:
            depth, color = content[8:10]
        if kind == b"tRNS" and color == 0 and depth in (2, 4):
            transparent = int.from_bytes(content) * 255 // (2**depth - 1)
        if kind == b"IEND":
            return Png(b"".join(kept), exif, bits, transparent)
    raise ImageError("the PNG is cut short (no IEND chunk)")
