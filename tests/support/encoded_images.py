"""Images as the bytes of many file formats, some written by hand because no library writes them."""

import io
import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finetune.data.decode import decode

Pixels = NDArray[np.integer]


def blocks(channels: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return 32 × 48 pixels of random 8 × 8 squares, which no turn or mirroring leaves unchanged."""
    colors = np.random.default_rng(seed).integers(0, 256, (4, 6, channels), np.uint8)
    return np.kron(colors, np.ones((8, 8, 1), np.uint8))


RGB = Image.fromarray(blocks(3))
GRAY = Image.fromarray(blocks(1)[..., 0])
PALETTE = RGB.quantize(16)
BITMAP = GRAY.convert("1")
OPACITY = blocks(1, seed=1)
OPACITY[:8, :8], OPACITY[:8, 8:16] = 0, 255
RGBA = Image.fromarray(np.dstack([blocks(3), OPACITY]))
GRAY_ALPHA = Image.fromarray(np.dstack([blocks(1), OPACITY]))


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    """Return the bytes that Pillow writes; unless the options differ, JPEG at quality 95 and WebP without loss."""
    defaults = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True, "exact": True}}
    file = io.BytesIO()
    image.save(file, format, **{**defaults.get(format, {}), **options})
    return file.getvalue()


def over_white(image: Image.Image) -> NDArray[np.uint8]:
    """Return the RGB pixels of an image that Pillow laid over white."""
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image.convert("RGBA"))
    return np.asarray(ground.convert("RGB"))


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, bits: int, color: int, rows: bytes, *more: bytes) -> bytes:
    """Return a PNG with this header and these filtered rows, and with `more` chunks before the pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels


def tiff(
    pixels: Pixels,
    photometric: int,
    *,
    bits: int = 8,
    extra: int | None = None,
    planes: bool = False,
    body: bytes = b"",
    more: Mapping[int, list[int]] = MappingProxyType({}),
) -> bytes:
    """Return an uncompressed TIFF; `extra`, of its fourth channel: 0 unspecified, 1 premultiplied, 2 straight.

    `body` is what stores pixels of other than 8 or 16 bits; `more` are further tags.
    """
    height, width, channels = pixels.shape
    stored = np.moveaxis(pixels, 2, 0) if planes else pixels
    body = body or stored.astype(f"<u{bits // 8}").tobytes()
    strips = channels if planes else 1
    tags = {256: [width], 257: [height], 258: [bits] * channels, 259: [1], 262: [photometric], 277: [channels]}
    tags |= {278: [height], 279: [len(body) // strips] * strips, 284: [2 if planes else 1]}
    tags |= {**more} if extra is None else {**more, 338: [extra]}
    values_at = 8 + 2 + 12 * (len(tags) + 1) + 4
    body_at = values_at + sum(4 * len(values) for values in tags.values() if len(values) > 1) + 4 * strips * planes
    tags[273] = [body_at + strip * len(body) // strips for strip in range(strips)]
    directory, long_values = struct.pack("<H", len(tags)), b""
    for tag, values in sorted(tags.items()):
        kind, form = (3, "H") if tag == 320 else (4, "I")  # a palette has 16 bits, all else here 32
        packed = struct.pack(f"<{len(values)}{form}", *values)
        if len(values) > 1:
            long_values += packed
            packed = struct.pack("<I", values_at + len(long_values) - len(packed))
        directory += struct.pack("<HHI", tag, kind, len(values)) + packed
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + long_values.ljust(body_at - values_at, b"\0") + body


def bmp32(pixels: NDArray[np.uint8], *, alpha: bool) -> bytes:
    """Return a 32-bit BMP from RGBA pixels; `alpha`: whether its header declares the fourth byte as transparency."""
    height, width, _ = pixels.shape
    body = pixels[..., [2, 1, 0, 3]].tobytes()
    size, compression = (108, 3) if alpha else (40, 0)
    start = b"BM" + struct.pack("<IHHI", 14 + size + len(body), 0, 0, 14 + size)
    header = struct.pack("<IiiHHIIiiII", size, width, -height, 1, 32, compression, 0, 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) if alpha else b""
    return start + (header + masks).ljust(size, b"\0") + body


def idx(values: NDArray[np.uint8]) -> bytes:
    """Return an IDX file of unsigned bytes: images (count, height, width) or labels (count)."""
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def gif(transparent: int | None = None) -> bytes:
    """Return a GIF of 4 × 4 pixels, colour 0, whose frame covers the middle 2 × 2 with the colours 1, 2, 3, 1."""
    codes = 0
    for place, code in enumerate([4, 1, 4, 2, 4, 3, 4, 1, 5]):  # 4 resets the table, so every code has 3 bits
        codes |= code << 3 * place
    lzw = codes.to_bytes(4, "little")
    control = b"" if transparent is None else b"!\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    palette = bytes([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    screen = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x81, 0, 0) + palette
    frame = b"," + struct.pack("<HHHHB", 1, 1, 2, 2, 0) + bytes([2, len(lzw)]) + lzw
    return screen + control + frame + b"\0;"


def assert_decodes(data: bytes, expected: object, tolerance: int = 0) -> None:
    """Check what `decode` returns against an RGB image or its pixels."""
    found = decode(data).image
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found[..., ::-1].astype(int), np.asarray(expected).astype(int), atol=tolerance)
