"""Perceptual hashes against an independent implementation."""

import imagehash
import numpy as np
import pytest
from PIL import Image
from support.drawn_photos import Pixels, photo

from finetune.check.perceptual_hash import hash_codes


def bits(pixels: Pixels) -> np.ndarray:
    return np.unpackbits(hash_codes(pixels), axis=1)


@pytest.mark.parametrize("number", range(5))
def test_the_hash_is_that_of_imagehash(number: int) -> None:
    pixels = photo(number)
    theirs = imagehash.phash(Image.fromarray(pixels[..., ::-1]), hash_size=16).hash.ravel()
    assert (bits(pixels)[0] != theirs).sum() <= 8, "except for rounding in the resize, and bits next to the median"


def test_hashes_of_the_mirrored_and_the_upside_down_image() -> None:
    pixels = photo(1)
    straight, mirrored, upside_down = bits(pixels)
    assert (mirrored != bits(np.ascontiguousarray(pixels[:, ::-1]))[0]).sum() <= 4
    assert (upside_down != bits(np.ascontiguousarray(pixels[::-1]))[0]).sum() <= 4
    assert (straight != mirrored).sum() > 80
