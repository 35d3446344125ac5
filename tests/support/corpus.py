"""An image in every mode, format and depth that Pillow, OpenCV and imagecodecs write, and its pixels."""

import io
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from support.encoded_images import over_white

Pixels = NDArray[np.integer]

HEIGHT, WIDTH = 40, 56
_ROWS, _COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
# Three slopes in different directions, which lossy formats keep, and an opacity.
RGB = np.dstack([4 * _COLUMNS + 20, 6 * _ROWS, 255 - 2 * _ROWS - 3 * _COLUMNS]).astype(np.uint8)
OPACITY = (255 - 2 * _ROWS - 2 * _COLUMNS).astype(np.uint8)


class Sample(NamedTuple):
    """A file, who wrote it from what, and its pixels: RGB, with transparency laid over white."""

    name: str
    data: bytes
    expected: Pixels


def _pillow_modes() -> dict[str, Image.Image]:
    rgb = Image.fromarray(RGB)
    rgba = Image.fromarray(np.dstack([RGB, OPACITY]))
    gray = rgb.convert("L")
    gray_alpha = Image.merge("LA", (gray, Image.fromarray(OPACITY)))
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    modes = {mode: rgb.convert(mode) for mode in ("1", "L", "RGB", "RGBX", "CMYK", "YCbCr")}
    modes |= {"P": rgb.quantize(64), "P of 2": rgb.quantize(2), "P of 16": rgb.quantize(16)}
    return modes | {"RGBA": rgba, "LA": gray_alpha, "I;16": deep}


_LOSSLESS_TIFF = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", "zstd")
_P = ("P", "P of 16", "P of 2")
# (Pillow's name of a format, the modes that it keeps as they are, what to save with, by a name for it)
PILLOW: list[tuple[str, tuple[str, ...], dict[str, dict[str, Any]]]] = [
    ("PNG", ("1", "L", "LA", "RGB", "RGBA", "I;16", *_P), {"PNG": {}, "small PNG": {"optimize": True}}),
    ("PNG", ("P of 16", "P of 2"), {"PNG of 4 bits": {"bits": 4}, "PNG of 8 bits": {"bits": 8}}),
    ("GIF", ("1", "L", *_P), {"GIF": {}, "GIF, interlaced": {"interlace": 1}}),
    ("BMP", ("1", "L", "RGB", *_P), {"BMP": {}}),
    ("PPM", ("1", "L", "RGB", "I;16"), {"PNM": {}}),
    (
        "TIFF",
        ("1", "L", "LA", "RGB", "RGBA", "RGBX", "CMYK", "I;16", *_P),
        {f"TIFF, {name}": {"compression": name} for name in _LOSSLESS_TIFF} | {"BigTIFF": {"big_tiff": True}},
    ),
    ("TIFF", ("1",), {f"TIFF, {name}": {"compression": name} for name in ("group3", "group4", "tiff_ccitt")}),
    ("TIFF", ("L", "RGB", "YCbCr", "CMYK"), {"TIFF, JPEG": {"compression": "jpeg", "quality": 95}}),
    (
        "WEBP",
        ("L", "LA", "RGB", "RGBA"),
        {"WebP without loss": {"lossless": True, "exact": True}, "WebP": {"quality": 98, "exact": True}},
    ),
    ("JPEG2000", ("L", "LA", "RGB", "RGBA", "I;16"), {"code stream": {"no_jp2": True}}),
    ("JPEG2000", ("L", "RGB", "RGBA"), {"JPEG 2000 in tiles": {"tile_size": (32, 32)}}),
    (
        "JPEG2000",
        ("L", "LA", "RGB", "RGBA", "YCbCr", "CMYK", "I;16"),
        {"JPEG 2000": {}, "JPEG 2000 with loss": {"irreversible": True}},
    ),
    (
        "AVIF",
        ("L", "LA", "RGB", "RGBA"),
        {"AVIF 4:4:4": {"quality": 98, "subsampling": "4:4:4"}, "AVIF 4:2:0": {"quality": 98}},
    ),
    (
        "JPEG",
        ("L", "RGB", "CMYK", "YCbCr"),
        {f"JPEG {name}": {"quality": 98, "subsampling": name} for name in ("4:4:4", "4:2:2", "4:2:0", "4:1:1")}
        | {"progressive JPEG": {"quality": 98, "progressive": True}, "JPEG of RGB": {"quality": 98, "keep_rgb": True}},
    ),
]


def by_pillow() -> Iterator[Sample]:
    images = _pillow_modes()
    for format, modes, ways in PILLOW:
        for mode, (name, options) in product(modes, ways.items()):
            stream = io.BytesIO()
            images[mode].save(stream, format, **options)
            seen = np.asarray(images[mode]) >> 8 if mode == "I;16" else over_white(images[mode])
            yield Sample(f"{name} of {mode} by Pillow", stream.getvalue(), colored(seen))


def _arrays() -> dict[str, tuple[Pixels, Pixels]]:
    """Return kind -> RGB array in the depth it is to be written in, and the expected pixels."""
    gray = np.ascontiguousarray(RGB[..., 0])
    alpha = np.dstack([RGB, OPACITY])
    white = over_white(Image.fromarray(alpha))
    eight: dict[str, tuple[Pixels, Pixels]] = {"gray": (gray, gray), "RGB": (RGB, RGB), "RGBA": (alpha, white)}
    sixteen = {f"16-bit {kind}": (array.astype(np.uint16) * 257, seen) for kind, (array, seen) in eight.items()}
    return eight | sixteen


# Extension, the kinds that OpenCV writes to it as they are, and what to write with.
_ALL = ("gray", "RGB", "RGBA", "16-bit gray", "16-bit RGB", "16-bit RGBA")
OPENCV: list[tuple[str, tuple[str, ...], list[int]]] = [
    (".png", _ALL, []),
    (".tiff", _ALL, []),
    (".tiff", _ALL[:3], [cv2.IMWRITE_TIFF_COMPRESSION, 8]),  # deflate
    (".jp2", (*_ALL[:2], *_ALL[3:5]), [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]),
    (".bmp", ("gray", "RGB", "RGBA"), []),
    (".webp", ("RGB", "RGBA"), [cv2.IMWRITE_WEBP_QUALITY, 101]),
    (".avif", ("gray", "RGB", "RGBA"), [cv2.IMWRITE_AVIF_QUALITY, 98]),
    (".jpg", ("gray", "RGB"), [cv2.IMWRITE_JPEG_QUALITY, 98]),
    (".jpg", ("gray", "RGB"), [cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    (".pgm", ("gray", "16-bit gray"), []),
    (".pgm", ("gray", "16-bit gray"), [cv2.IMWRITE_PXM_BINARY, 0]),
    (".ppm", ("RGB", "16-bit RGB"), []),
    (".ppm", ("RGB", "16-bit RGB"), [cv2.IMWRITE_PXM_BINARY, 0]),
]


def by_opencv() -> Iterator[Sample]:
    arrays = _arrays()
    for extension, kinds, options in OPENCV:
        for kind in kinds:
            array, seen = arrays[kind]
            stored = array if array.ndim == 2 else array[..., [2, 1, 0, 3][: array.shape[2]]]
            data = cv2.imencode(extension, stored, options)[1].tobytes()
            yield Sample(f"{extension} {options} of {kind} by OpenCV", data, colored(seen))


def by_imagecodecs() -> Iterator[Sample]:
    import imagecodecs

    def of_level(encode: Callable[..., bytes], level: int, **options: Any) -> Callable[[Pixels], bytes]:
        return lambda array: encode(array, level=level, **options)

    encoders: list[tuple[str, tuple[str, ...], Callable[[Pixels], bytes]]] = [
        ("PNG", _ALL, imagecodecs.png_encode),
        ("animated PNG", _ALL, imagecodecs.apng_encode),
        ("BMP", ("gray", "RGB"), imagecodecs.bmp_encode),
        ("WebP", ("RGB", "RGBA"), of_level(imagecodecs.webp_encode, 100, lossless=True)),
        ("JPEG", ("gray", "RGB"), of_level(imagecodecs.jpeg8_encode, 98)),
        ("JPEG 2000", _ALL, of_level(imagecodecs.jpeg2k_encode, 0, codecformat="jp2")),
        ("code stream", _ALL, of_level(imagecodecs.jpeg2k_encode, 0, codecformat="j2k")),
        ("AVIF", ("gray", "RGB", "RGBA"), of_level(imagecodecs.avif_encode, 98)),
    ]
    arrays = _arrays()
    for name, kinds, encode in encoders:
        for kind in kinds:
            array, seen = arrays[kind]
            yield Sample(f"{name} of {kind} by imagecodecs", encode(array), colored(seen))
    for bits in (10, 12):
        values = RGB.astype(np.uint16) << (bits - 8)
        data = imagecodecs.avif_encode(values, level=98, bitspersample=bits)
        yield Sample(f"AVIF of {bits} bits by imagecodecs", data, RGB)
    twelve = RGB[..., 0].astype(np.uint16) << 4
    for bits in range(9, 16):
        values = twelve >> (12 - bits) if bits < 12 else twelve << (bits - 12)
        data = imagecodecs.jpeg2k_encode(values, level=0, bitspersample=bits, codecformat="jp2")
        yield Sample(f"JPEG 2000 of {bits} bits by imagecodecs", data, colored(RGB[..., 0]))


def colored(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
