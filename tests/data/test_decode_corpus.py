"""Every mode, format and depth that three libraries write: the pixels that were written, which are Pillow's too."""

import io
from collections.abc import Iterable

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.corpus import Sample, by_imagecodecs, by_opencv, by_pillow, colored
from support.encoded_images import over_white

from finetune.data.decode import decode
from finetune.errors import ImageError

TOLERANCE = 1.5  # of 255, on average


def of_pillow(data: bytes) -> np.ndarray:
    """Return the upright pixels over white as Pillow has them when it chooses the reader itself."""
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
        return colored(np.asarray(upright) >> 8) if upright.mode in ("I;16", "I") else over_white(upright)


def faults(samples: Iterable[Sample]) -> list[str]:
    """Return what is wrong with each sample that is refused or has other pixels."""
    found = []
    for name, data, expected in samples:
        try:
            pixels = decode(data).image[..., ::-1].astype(int)
        except ImageError as error:
            found.append(f"{name}: {error}")
            continue
        for whom, right in (("what was written", expected), ("Pillow", of_pillow(data))):
            if pixels.shape != right.shape or np.abs(pixels - right).mean() > TOLERANCE:
                found.append(f"{name}: not the pixels of {whom}")
    return found


def test_what_pillow_writes() -> None:
    samples = list(by_pillow())
    assert len(samples) > 150
    assert faults(samples) == []


def test_what_opencv_writes() -> None:
    samples = list(by_opencv())
    assert len(samples) > 30
    assert faults(samples) == []


def test_what_imagecodecs_writes() -> None:
    pytest.importorskip("imagecodecs")
    samples = list(by_imagecodecs())
    assert len(samples) > 40
    assert faults(samples) == []
