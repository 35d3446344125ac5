"""JPEG data is decoded no larger than it is needed."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from finetune.data.decode import decode


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
    """Halves are taken while both sides stay long enough; what comes is the average of the pixels it stands for."""
    ramp = np.linspace(0, 255, size[0])[None, :, None] * np.ones((size[1], 1, 3))
    data = cv2.imencode(".jpg", ramp.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    image = decode(data, short_side).image
    assert image.shape[1::-1] == expected
    np.testing.assert_allclose(
        image[5, :, 0], cv2.resize(ramp, expected, interpolation=cv2.INTER_AREA)[5, :, 0], atol=4
    )


def test_a_reduced_jpeg_is_turned_upright_too() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[:150, :200] = 255  # white in the corner that the EXIF turn 6 brings to the upper right
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", exif=exif)
    image = decode(stream.getvalue(), 100).image
    assert image.shape == (200, 150, 3)
    assert image[20, 130].min() > 240
    assert image[20, 20].max() < 15


def test_other_formats_are_decoded_whole() -> None:
    data = cv2.imencode(".png", np.zeros((300, 400, 3), np.uint8))[1].tobytes()
    assert decode(data, 10).image.shape == (300, 400, 3)
