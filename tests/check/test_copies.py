"""Perceptual hashes against an independent implementation, and what counts as a copy."""

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image
from support.drawn_photos import Pixels, encoded, photo

from finetune.check.copies import MOST, limits, nearest_kept
from finetune.check.look import HASH_BITS, hash_codes
from finetune.cli.demo import TEXTURES


def bits(pixels: Pixels) -> np.ndarray:
    return np.unpackbits(hash_codes(pixels), axis=1)


def signs(codes: np.ndarray) -> list[np.ndarray]:
    return [np.unpackbits(codes[:, i], axis=1).astype(np.float32) * 2 - 1 for i in range(3)]


def recompressed(pixels: Pixels, quality: int = 30) -> Pixels:
    return cv2.imdecode(np.frombuffer(encoded(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality), np.uint8), 1)


@pytest.mark.parametrize("number", range(5))
def test_hash_is_the_one_of_imagehash(number: int) -> None:
    pixels = photo(number)
    theirs = imagehash.phash(Image.fromarray(pixels[..., ::-1]), hash_size=16).hash.ravel()
    assert (bits(pixels)[0] != theirs).sum() <= 8, "but for rounding in the resize, and bits next to the median"


def test_hashes_of_the_mirrored_picture_and_of_it_upside_down() -> None:
    pixels = photo(1)
    straight, mirrored, upside_down = bits(pixels)
    assert (mirrored != bits(np.ascontiguousarray(pixels[:, ::-1]))[0]).sum() <= 4
    assert (upside_down != bits(np.ascontiguousarray(pixels[::-1]))[0]).sum() <= 4
    assert (straight != mirrored).sum() > 80


COPIES = {
    "recompressed": recompressed,
    "half size": lambda pixels: cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "brighter": lambda pixels: np.clip(pixels * 1.1 + 5, 0, 255).astype(np.uint8),
    "gray": lambda pixels: cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
    "cropped": lambda pixels: np.ascontiguousarray(pixels[1:-1, 2:-2]),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_found_among_others(change: str) -> None:
    pictures = [photo(number) for number in range(20)]
    codes = np.stack([hash_codes(pixels) for pixels in [*pictures, COPIES[change](pictures[7])]])
    assert nearest_kept(codes).tolist() == [*range(20), 7]


def test_a_mirrored_picture_is_no_copy_and_does_not_hide_one() -> None:
    pictures = [photo(0), photo(1), np.ascontiguousarray(photo(0)[:, ::-1]), recompressed(photo(0))]
    assert nearest_kept(np.stack([hash_codes(pixels) for pixels in pictures])).tolist() == [0, 1, 2, 0]


def test_the_limit_follows_from_the_nearest_decoy() -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 256, (30, 3, HASH_BITS // 8), np.uint8)
    straight, mirrored, upside_down = signs(codes)
    expected = []
    for row in range(30):
        others = [other for other in range(30) if other != row]
        nearest = [
            min((straight[row] != decoys[other]).sum() for other in others) for decoys in (mirrored, upside_down)
        ]
        expected.append(min(max(nearest) // 3, MOST))
    assert limits(straight, mirrored, upside_down).tolist() == expected


def test_pictures_that_collide_with_decoys_have_no_copies_but_the_same() -> None:
    """Bars of one pixel, mirrored and turned, are again such bars: chance makes them as alike as copies are."""
    bars = []
    for place in range(4, 60, 2):
        pixels = np.full((64, 64, 3), 255, np.uint8)
        pixels[30:34, place : place + 2] = 0
        bars.append(pixels)
    codes = np.stack([hash_codes(pixels) for pixels in [*bars, bars[0]]])
    assert nearest_kept(codes).tolist() == [*range(len(bars)), 0]


def test_textures_are_hardly_ever_taken_for_copies() -> None:
    generator = np.random.default_rng(1)
    codes = np.stack([hash_codes(TEXTURES[name](generator)) for name in TEXTURES for _ in range(25)])
    assert (nearest_kept(codes) != np.arange(len(codes))).sum() <= 2


def test_a_chain_of_small_changes_is_more_than_one_picture() -> None:
    """Each is within the limit of the next, the ends are not: what is a copy is one of a picture that is kept."""
    chain = np.zeros((5, HASH_BITS), np.uint8)
    chain[:, : HASH_BITS // 2] = np.random.default_rng(0).integers(0, 2, HASH_BITS // 2)
    for step in range(5):
        chain[step, HASH_BITS // 2 : HASH_BITS // 2 + 20 * step] = 1
    decoys = np.random.default_rng(1).integers(0, 2, (5, 2, HASH_BITS)).astype(np.uint8)
    codes = np.packbits(np.concatenate([chain[:, None], decoys], axis=1), axis=2)
    limit = int(limits(*signs(codes)).min())
    assert 20 <= limit < 60
    kept = nearest_kept(codes).tolist()
    assert kept[:2] == [0, 0]
    assert kept[3] != 0
    assert kept[4] in (3, 4) or kept[4] == kept[3]


def test_more_rows_than_a_block() -> None:
    codes = np.random.default_rng(2).integers(0, 256, (700, 3, HASH_BITS // 8), np.uint8)
    codes[650] = codes[3]
    expected = list(range(700))
    expected[650] = 3
    assert nearest_kept(codes).tolist() == expected
