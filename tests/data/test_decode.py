"""Decoding against Pillow, an independent implementation, and against pixels worked out by hand."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from support.encoded_images import (
    BITMAP,
    GRAY,
    GRAY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    assert_decodes,
    blocks,
    bmp32,
    encode,
    gif,
    over_white,
)

from finetune.data.decode import decode
from finetune.data.images import read_image


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(format: str, orientation: int) -> None:
    data = encode(RGB, format, exif=exif(orientation))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert upright.size == ((48, 32) if orientation < 5 else (32, 48))
    assert_decodes(data, upright)
    if format != "JPEG":
        assert_decodes(data, ImageOps.exif_transpose(with_orientation(RGB, orientation)))


def with_orientation(image: Image.Image, orientation: int) -> Image.Image:
    turned = image.copy()
    turned.getexif()[0x0112] = orientation
    return turned


@pytest.mark.parametrize("orientation", [0, 9, 65535])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_invalid_orientation_is_ignored(format: str, orientation: int) -> None:
    assert_decodes(encode(RGB, format, exif=exif(orientation)), RGB, tolerance=2)


def test_exif_after_the_pixels_of_a_png_counts() -> None:
    data = encode(RGB, "PNG", exif=exif(3))
    start, end = data.index(b"eXIf") - 4, data.index(b"IDAT") - 4
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    assert_decodes(moved, RGB.rotate(180))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF", "WEBP"])
def test_gray_palette_and_colour_are_exact(format: str) -> None:
    assert_decodes(encode(RGB, format), RGB)
    assert_decodes(encode(GRAY, format), GRAY.convert("RGB"))
    if format != "WEBP":
        assert_decodes(encode(PALETTE, format), PALETTE.convert("RGB"))
        assert_decodes(encode(BITMAP, format), BITMAP.convert("RGB"))


def test_white_is_white_and_colours_are_bgr() -> None:
    pixels = decode(encode(Image.new("RGB", (3, 2), (255, 128, 0)), "PNG")).image
    assert pixels.tolist() == [[[0, 128, 255]] * 3] * 2
    assert decode(encode(Image.new("1", (3, 2), 1), "PNG")).image.min() == 255


@pytest.mark.parametrize(
    "data",
    [
        encode(RGB, "JPEG"),
        encode(RGB, "JPEG", progressive=True),
        encode(RGB, "JPEG", restart_marker_rows=1),
        encode(RGB, "JPEG", keep_rgb=True),
        encode(RGB, "JPEG") + b"bytes after the end",
        encode(RGB.convert("CMYK"), "JPEG"),  # Pillow writes it inverted, as Adobe does
    ],
    ids=["baseline", "progressive", "restart markers", "stored as RGB", "trailing bytes", "CMYK"],
)
def test_jpeg(data: bytes) -> None:
    assert_decodes(data, RGB, tolerance=3)


def test_gray_jpeg() -> None:
    assert_decodes(encode(GRAY, "JPEG"), GRAY.convert("RGB"), tolerance=3)


def test_ycck_jpeg() -> None:
    """CMYK stored as YCC + K, as Photoshop writes it; here such values are written as CMYK and the marker changed."""
    ycc = np.asarray(ImageOps.invert(RGB).convert("YCbCr"))
    stored = np.dstack([ycc, np.full((32, 48), 255, np.uint8)])
    data = bytearray(encode(Image.fromarray(255 - stored, "CMYK"), "JPEG"))
    data[data.index(b"Adobe") + 11] = 2  # the colour transform of the Adobe marker: 0 CMYK, 2 YCCK
    assert_decodes(bytes(data), RGB, tolerance=4)


@pytest.mark.parametrize("image", [RGBA, GRAY_ALPHA], ids=["RGBA", "gray and alpha"])
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_transparency_is_laid_over_white(image: Image.Image, format: str) -> None:
    assert_decodes(encode(image, format), over_white(image))


def test_transparency_by_hand() -> None:
    """Clear red is white; red at 128 of 255 is (255, 127, 127); opaque red stays."""
    red = Image.new("RGBA", (3, 1), (255, 0, 0, 0))
    red.putpixel((1, 0), (255, 0, 0, 128))
    red.putpixel((2, 0), (255, 0, 0, 255))
    assert decode(encode(red, "PNG")).image[0].tolist() == [[255, 255, 255], [127, 127, 255], [0, 0, 255]]


@pytest.mark.parametrize("clear", [3, bytes(range(0, 256, 16))], ids=["one colour", "a table"])
def test_palette_with_transparency(clear: int | bytes) -> None:
    data = encode(PALETTE, "PNG", transparency=clear)
    assert_decodes(data, over_white(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("image", [RGB, GRAY], ids=["RGB", "gray"])
def test_one_transparent_colour(image: Image.Image) -> None:
    corner = image.getpixel((0, 0))
    pixels = np.asarray(image.convert("RGB")).copy()
    pixels[(pixels == corner).all(axis=2)] = 255
    assert_decodes(encode(image, "PNG", transparency=corner), pixels)


def test_sixteen_bits_are_cut_to_eight() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (32, 48, 3), np.uint16)
    for extension in (".png", ".tiff"):
        assert_decodes(cv2.imencode(extension, deep[..., ::-1])[1].tobytes(), deep >> 8)
        assert_decodes(cv2.imencode(extension, deep[..., 0])[1].tobytes(), np.repeat(deep[..., :1] >> 8, 3, axis=2))


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bits_with_transparency(extension: str) -> None:
    deep = np.asarray(RGBA).astype(np.uint16) * 257
    assert_decodes(cv2.imencode(extension, deep[..., [2, 1, 0, 3]])[1].tobytes(), over_white(RGBA))


def test_bmp_of_32_bits() -> None:
    assert_decodes(bmp32(np.asarray(RGBA), alpha=True), over_white(RGBA))
    assert_decodes(bmp32(np.asarray(RGBA), alpha=False), RGB)


def test_lossy_webp() -> None:
    smooth = Image.linear_gradient("L").convert("RGB")
    assert_decodes(encode(smooth, "WEBP", lossless=False, quality=90), smooth, tolerance=4)
    smooth.putalpha(Image.radial_gradient("L"))
    assert_decodes(encode(smooth, "WEBP", lossless=False, quality=90), over_white(smooth), tolerance=6)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(format: str) -> None:
    later = [Image.fromarray(blocks(3, seed)) for seed in (1, 2)]
    data = encode(RGB, format, save_all=True, append_images=later)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert_decodes(data, RGB)


def test_transparent_gif() -> None:
    data = encode(PALETTE, "GIF", transparency=3)
    assert_decodes(data, over_white(Image.open(io.BytesIO(data))))


def test_gif_frame_smaller_than_the_screen() -> None:
    """Around the frame is the background colour or, in a transparent GIF, nothing, which is white."""
    assert decode(gif()).image[..., 2].tolist() == [
        [10, 10, 10, 10],
        [10, 200, 0, 10],
        [10, 0, 200, 10],
        [10, 10, 10, 10],
    ]
    clear = [[255, 255, 255, 255], [255, 255, 0, 255], [255, 0, 255, 255], [255, 255, 255, 255]]
    assert decode(gif(transparent=1)).image[..., 2].tolist() == clear


def test_too_little_memory_is_not_a_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile, "load_prepare", fail)
    for image in (encode(RGB, "PNG"), jpeg_with_junk()):
        with pytest.raises(MemoryError):
            decode(image)


def jpeg_with_junk() -> bytes:
    """Return a JPEG that simplejpeg leaves to Pillow."""
    data = encode(RGB, "JPEG")
    tables = data.index(b"\xff\xdb")
    return data[:tables] + b"junk" + data[tables:]


def test_every_photo_of_the_reference_set_can_be_decoded(shared: Path) -> None:
    paths = sorted(path for path in (shared / "data" / "hymenoptera").rglob("*.*") if path.is_file())
    assert len(paths) >= 397
    for path in paths:
        image = read_image(path)
        assert image.ndim == 3
        assert image.std() > 1, path


def test_photos_agree_with_pillow(shared: Path) -> None:
    for name, mode in {"photos/poodle.png": "RGBA", "hymenoptera/train/ants/imageNotFound.gif": "P"}.items():
        with Image.open(shared / "data" / name) as image:
            assert image.mode == mode
            assert_decodes((shared / "data" / name).read_bytes(), over_white(image), tolerance=1)


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((400, 300), None, (400, 300)),
        ((400, 300), 151, (400, 300)),
        ((400, 300), 150, (200, 150)),
        ((401, 303), 75, (101, 76)),
        ((400, 300), 30, (50, 38)),
        ((400, 300), 3, (50, 38)),
    ],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(
    size: tuple[int, int], short_side: int | None, expected: tuple[int, int]
) -> None:
    """The size is halved while both sides stay long enough; each pixel is the average of those it replaces."""
    ramp = np.linspace(0, 255, size[0])[None, :, None] * np.ones((size[1], 1, 3))
    data = cv2.imencode(".jpg", ramp.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    image = decode(data, short_side).image
    assert image.shape[1::-1] == expected
    np.testing.assert_allclose(
        image[5, :, 0], cv2.resize(ramp, expected, interpolation=cv2.INTER_AREA)[5, :, 0], atol=4
    )


def test_a_reduced_jpeg_is_upright_too() -> None:
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:150, :200] = 255  # white in the corner that EXIF orientation 6 turns to the upper right
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", exif=exif)
    image = decode(stream.getvalue(), 100).image
    assert image.shape == (200, 150, 3)
    assert image[20, 130].min() > 240
    assert image[20, 20].max() < 15


def test_other_formats_are_decoded_at_full_size() -> None:
    data = cv2.imencode(".png", np.zeros((300, 400, 3), np.uint8))[1].tobytes()
    assert decode(data, 10).image.shape == (300, 400, 3)
