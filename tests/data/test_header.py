"""What a header says: format by content, size as stored, orientation, and the limit of 100 megapixels."""

import pytest
from PIL import Image
from support.encoded_images import GRAY, PALETTE, RGB, RGBA, encode, png

from finetune.data.header import MAX_PIXELS, read_header
from finetune.data.image_kinds import IMAGE_KINDS
from finetune.errors import ImageError

PILLOW = {"JPEG": "JPEG", "PNG": "PNG", "GIF": "GIF", "WebP": "WEBP", "BMP": "BMP", "TIFF": "TIFF", "PNM": "PPM"}
PILLOW |= {"JPEG 2000": "JPEG2000", "AVIF": "AVIF"}


@pytest.mark.parametrize("format", PILLOW)
def test_format_and_size(format: str) -> None:
    data = encode(RGB, PILLOW[format])
    assert read_header(data)[:4] == (format, 48, 32, 1)


def test_the_size_is_that_before_the_turn() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_header(encode(RGB, "JPEG", exif=exif.tobytes()))[:4] == ("JPEG", 48, 32, 6)


def test_pillow_turns_a_tiff_itself() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_header(encode(RGB, "TIFF", exif=exif)).orientation == 1


@pytest.mark.parametrize(
    ("image", "mode"), [(RGB, "RGB"), (RGBA, "RGBA"), (GRAY, "L"), (PALETTE, "P")], ids=["RGB", "RGBA", "L", "P"]
)
def test_mode(image: Image.Image, mode: str) -> None:
    assert read_header(encode(image, "PNG")).mode == mode


def test_the_end_of_an_embedded_thumbnail_is_not_the_end_of_a_jpeg() -> None:
    """Cameras put a whole JPEG into the EXIF block; cut behind it, the file still has an end marker."""
    data = encode(RGB, "JPEG")
    block = b"Exif\0\0" + data
    whole = data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2) + block + data[2:]
    assert read_header(whole)[:3] == ("JPEG", 48, 32)
    with pytest.raises(ImageError, match=r"^the JPEG is cut short \(no end marker\)$"):
        read_header(whole[:-40])


def test_a_message_of_several_lines_becomes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of libheif."""

    def fail(_: object) -> None:
        raise SyntaxError("Memory allocation error:\n  security limit exceeded\n")

    monkeypatch.setitem(IMAGE_KINDS, "BMP", IMAGE_KINDS["BMP"]._replace(reader=fail))
    reason = r"^the BMP header is damaged \(Memory allocation error: security limit exceeded\)$"
    with pytest.raises(ImageError, match=reason):
        read_header(b"BM")


def test_the_limit_of_pixels() -> None:
    assert read_header(png(10_000, 10_000, 8, 0, bytes(100)))[1:3] == (10_000, 10_000)
    with pytest.raises(ImageError, match=r"^10000×10001 pixels are more than the limit of 100 megapixels; shrink it$"):
        read_header(png(10_000, 10_001, 8, 0, bytes(100)))
    assert MAX_PIXELS == 10_000 * 10_000


def test_a_git_lfs_pointer_says_what_to_do() -> None:
    with pytest.raises(ImageError, match=r"^a Git LFS pointer, not the image; run git lfs pull$"):
        read_header(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
