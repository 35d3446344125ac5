"""What `upright_jpeg` keeps of an image: its upright pixels, and nothing that says who took it, where or when."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from support.drawn_photos import encoded, photo

from finetune.data.decode import decode
from finetune.data.upright_jpeg import upright_jpeg
from finetune.errors import ImageError


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "CameraMaker"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)  # GPSLatitude
    file = BytesIO()
    Image.fromarray(photo(1)[..., ::-1]).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_upright_and_its_exif_is_stripped(orientation: int) -> None:
    data = with_exif(orientation)
    assert b"CameraMaker" in data
    kept = upright_jpeg(data)
    opened = Image.open(BytesIO(kept))
    assert opened.format == "JPEG"
    assert not opened.getexif()
    assert b"Exif" not in kept
    assert b"CameraMaker" not in kept
    difference = np.abs(decode(kept).image.astype(float) - decode(data).image)
    assert difference.mean() < 1.5


@pytest.mark.parametrize("extension", [".png", ".webp", ".bmp", ".tiff", ".jpg"])
def test_every_format_becomes_the_same_jpeg_each_time(extension: str) -> None:
    data = encoded(photo(2), extension)
    assert upright_jpeg(data) == upright_jpeg(data)
    assert decode(upright_jpeg(data)).image.shape == (150, 200, 3)


def test_what_is_not_an_image_is_refused() -> None:
    with pytest.raises(ImageError, match="not an image: expected JPEG"):
        upright_jpeg(b"words")


def test_a_damaged_image_is_refused_since_the_damage_would_no_longer_show() -> None:
    data = encoded(photo(3))
    with pytest.raises(ImageError, match=r"the image is damaged \(.*\); get the file again"):
        upright_jpeg(data[: len(data) // 2] + b"\xff\xd9")


def test_a_dark_image_of_16_bits_is_refused() -> None:
    with pytest.raises(ImageError, match=r"the image is dark: .*; scale them to 65535"):
        upright_jpeg(encoded(np.full((8, 8), 4000, np.uint16), ".png"))


def test_a_side_that_a_jpeg_cannot_have_is_refused() -> None:
    with pytest.raises(ImageError, match=r"66000×1 pixels: no side may have more than 65,500; shrink it"):
        upright_jpeg(encoded(np.zeros((1, 66_000, 3), np.uint8), ".png"))
