import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from support.encoded_images import (
    BITMAP,
    GRAY,
    GRAY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    blocks,
    bmp32,
    encode,
    gif,
    over_white,
    tiff,
)

from finetune.data.decode import decode
from finetune.data.header import image_format, read_header
from finetune.data.images import read_image, read_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import ImageError


def assert_decodes(data: bytes, expected: object, tolerance: int = 0) -> None:
    """`expected`: an RGB picture or its pixels."""
    got = decode(data).image
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    np.testing.assert_allclose(got[..., ::-1].astype(int), np.asarray(expected).astype(int), atol=tolerance)


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
def test_orientation_without_meaning_is_left_alone(format: str, orientation: int) -> None:
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


def test_white_is_white_and_colours_come_as_bgr() -> None:
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
    """CMYK stored as YCC + K is what Photoshop writes; here by writing such values as CMYK and changing the mark."""
    ycc = np.asarray(ImageOps.invert(RGB).convert("YCbCr"))
    stored = np.dstack([ycc, np.full((32, 48), 255, np.uint8)])
    data = bytearray(encode(Image.fromarray(255 - stored, "CMYK"), "JPEG"))
    data[data.index(b"Adobe") + 11] = 2  # the colour transform of the Adobe marker: 0 CMYK, 2 YCCK
    assert_decodes(bytes(data), RGB, tolerance=4)


def with_black() -> Image.Image:
    """A CMYK picture in which the black channel carries part of the ink."""
    ink = 255 - blocks(3)
    black = np.minimum(ink.min(axis=2, keepdims=True), 80)
    return Image.fromarray(np.dstack([ink - black, black]), "CMYK")


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_with_black(format: str) -> None:
    cyan_to_yellow, black = np.split(np.asarray(with_black()).astype(int), [3], axis=2)
    assert_decodes(encode(with_black(), format), (255 - cyan_to_yellow) * (255 - black) / 255, tolerance=4)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_cmyk_tiff_is_not_taken_for_transparent(compression: str | None) -> None:
    assert_decodes(encode(RGB.convert("CMYK"), "TIFF", compression=compression), RGB)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_compressed_tiff(compression: str) -> None:
    assert_decodes(encode(RGB, "TIFF", compression=compression), RGB, tolerance=2)


def test_fax_tiff() -> None:
    assert_decodes(encode(BITMAP, "TIFF", compression="group4"), BITMAP.convert("RGB"))


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


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (0, (200, 100, 50)),  # a channel that means nothing, such as a saved selection
        (1, (255, 227, 177)),  # colour + 127, at most 255
        (2, (227, 177, 152)),  # colour · 128 / 255 + 127
        (None, (227, 177, 152)),  # as OpenCV writes it
    ],
)
def test_fourth_channel_of_a_tiff(extra: int | None, bits: int, expected: tuple[int, ...]) -> None:
    pixel = np.array([[[200, 100, 50, 128]]]) * (1 if bits == 8 else 257)
    assert_decodes(tiff(pixel, 2, bits=bits, extra=extra), [[expected]])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encode(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), "pixels are float32, expected 8 or 16 bits"),
        (encode(Image.fromarray(np.ones((2, 2), np.int32)), "TIFF"), "pixels are int32, expected 8 or 16 bits"),
        (encode(GRAY_ALPHA, "TIFF"), "a gray TIFF with transparency is not supported"),
        (tiff(blocks(3), 2, bits=16, planes=True), "a 16-bit TIFF in planes or with white as 0 is not supported"),
        (tiff(blocks(1), 0, bits=16), "a 16-bit TIFF in planes or with white as 0 is not supported"),
    ],
    ids=["float32", "int32", "gray and alpha", "planes", "white is 0"],
)
def test_tiffs_that_would_come_out_wrong_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=f"^{reason}; convert the image$"):
        decode(data)


def test_tiff_in_planes_and_with_white_as_0() -> None:
    assert_decodes(tiff(blocks(3), 2, planes=True), RGB)
    assert_decodes(tiff(blocks(1), 0), 255 - np.asarray(GRAY.convert("RGB")))


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
    """Around the frame is the background colour, or nothing, which is white, in a transparent GIF."""
    assert decode(gif()).image[..., 2].tolist() == [
        [10, 10, 10, 10],
        [10, 200, 0, 10],
        [10, 0, 200, 10],
        [10, 10, 10, 10],
    ]
    clear = [[255, 255, 255, 255], [255, 255, 0, 255], [255, 0, 255, 255], [255, 255, 255, 255]]
    assert decode(gif(transparent=1)).image[..., 2].tolist() == clear


def test_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(encode(RGB, "PNG"))
    np.testing.assert_array_equal(read_image(path)[..., ::-1], np.asarray(RGB))
    (tmp_path / "nameless").write_bytes(encode(RGB, "BMP"))
    np.testing.assert_array_equal(read_image(tmp_path / "nameless")[..., ::-1], np.asarray(RGB))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WebP", "BMP", "TIFF"])
def test_header(format: str) -> None:
    data = encode(RGB, format.upper())
    assert image_format(data[:12]) == format
    assert read_header(data)[:4] == (format, 48, 32, 1)


@pytest.mark.parametrize(
    ("brand", "said"), [(b"heic", "HEIC"), (b"heix", "HEIC"), (b"mif1", "HEIF"), (b"avif", "AVIF")]
)
def test_pictures_that_nothing_here_reads(brand: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=f"^{said} is not supported; convert the image to JPEG$"):
        decode(b"\0\0\0\x18ftyp" + brand + bytes(40))
    assert image_format(b"\0\0\0\x18ftypisom") is None


def test_header_tells_the_size_as_stored() -> None:
    assert read_header(encode(RGB, "JPEG", exif=exif(6)))[:4] == ("JPEG", 48, 32, 6)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^cannot be opened \(No such file or directory\)$"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match=r"^cannot be opened \(Is a directory\)$"):
        read_image(tmp_path)


def test_read_input_returns_the_error_instead_of_raising(tmp_path: Path) -> None:
    preprocessing = Preprocessing(size=20, mean=(0.0, 0.0, 0.0), resize="warp")
    (tmp_path / "good.png").write_bytes(encode(RGB, "PNG"))
    good = read_input(tmp_path / "good.png", preprocessing)
    assert isinstance(good, np.ndarray)
    assert good.shape == (20, 20, 3)
    (tmp_path / "bad.png").write_bytes(b"words")
    bad = read_input(tmp_path / "bad.png", preprocessing)
    assert isinstance(bad, ImageError)
    assert str(bad).startswith("not an image: expected JPEG, PNG, GIF, WebP, BMP, TIFF; the file begins with b'words'")


def test_every_photo_of_the_reference_set_decodes(shared: Path) -> None:
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
