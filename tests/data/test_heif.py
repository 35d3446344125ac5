"""HEIC and HEIF: pixels, turns, transparency, ten bits, cuts and false sizes; they are written with pillow-heif."""

import io
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.corpus import OPACITY, RGB
from support.encoded_images import assert_decodes, over_white

from finetune.data.decode import decode
from finetune.data.header import read_header
from finetune.data.pil_image import pil_to_bgr
from finetune.errors import ImageError

pytest.importorskip("pi_heif")
pillow_heif = pytest.importorskip("pillow_heif")  # pi-heif reads only


def heic(image: Image.Image, **options: Any) -> bytes:
    pillow_heif.register_heif_opener()
    stream = io.BytesIO()
    image.save(stream, "HEIF", quality=-1, chroma=444, **options)
    return stream.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return heic(Image.fromarray(RGB), exif=exif.tobytes())


DATA = heic(Image.fromarray(RGB))


def test_colour_gray_and_transparency() -> None:
    assert_decodes(DATA, RGB, tolerance=2)
    assert_decodes(heic(Image.fromarray(RGB).convert("L")), Image.fromarray(RGB).convert("L").convert("RGB"))
    clear = Image.fromarray(np.dstack([RGB, OPACITY]))
    assert_decodes(heic(clear), over_white(clear), tolerance=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_are_undone_once(orientation: int) -> None:
    """Pi-heif turns the pixels itself; the EXIF block repeats the turn."""
    data = turned(orientation)
    image = Image.fromarray(RGB)
    image.getexif()[0x0112] = orientation
    assert_decodes(data, ImageOps.exif_transpose(image), tolerance=2)
    np.testing.assert_array_equal(pil_to_bgr(Image.open(io.BytesIO(data))), decode(data).image)
    assert read_header(data).orientation == 1


def test_ten_bits() -> None:
    deep = RGB.astype(np.uint16) << 8
    for mode, pixels, expected in (("RGB;16", deep, RGB), ("L;16", deep[..., 0], RGB[..., :1].repeat(3, axis=2))):
        file = pillow_heif.from_bytes(mode=mode, size=RGB.shape[1::-1], data=np.ascontiguousarray(pixels).tobytes())
        stream = io.BytesIO()
        file.save(stream, quality=-1, chroma=444)
        assert_decodes(stream.getvalue(), expected, tolerance=2)
        assert not decode(stream.getvalue()).dim


def test_every_cut_is_refused() -> None:
    for length in [*range(1, 64), *np.linspace(64, len(DATA) - 1, 200, dtype=int)]:
        with pytest.raises(ImageError):
            decode(DATA[:length])


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((20_000, 20_000), "20000×20000 pixels are more than the limit of 100 megapixels; shrink it"),
        ((60_000, 1_700), "60000×1700 pixels are more than the limit of 100 megapixels; shrink it"),
        ((9_000, 9_000), "the HEIF data is damaged or cut short"),
        ((8, 8), "the HEIF data is damaged or cut short"),
    ],
)
def test_sizes_that_are_not_those_of_the_data(size: tuple[int, int], reason: str) -> None:
    data = heic(Image.fromarray(RGB).resize((64, 64)))
    at = data.index(b"ispe") + 8
    started = time.perf_counter()
    with pytest.raises(ImageError, match=f"^{reason}$"):
        decode(data[:at] + size[0].to_bytes(4) + size[1].to_bytes(4) + data[at + 8 :])
    assert time.perf_counter() - started < 0.5
