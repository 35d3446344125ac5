"""What counts as a copy, and which copy is kept."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.drawn_photos import Pixels, encoded, photo

from finetune.check import copies
from finetune.check.copies import MOST_BITS, copy_groups, distance_limits, find_copies, near_copy_of
from finetune.check.look import ImageLook
from finetune.check.perceptual_hash import HASH_BITS, hash_codes
from finetune.choices import SplitName
from finetune.data.dataset import LabelledFile
from finetune.data.textures import TEXTURES


def signs(codes: np.ndarray) -> list[np.ndarray]:
    return [np.unpackbits(codes[:, i], axis=1).astype(np.float32) * 2 - 1 for i in range(3)]


def recompressed(pixels: Pixels, quality: int = 30) -> Pixels:
    return cv2.imdecode(np.frombuffer(encoded(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality), np.uint8), 1)


COPIES = {
    "recompressed": recompressed,
    "half size": lambda pixels: cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "brighter": lambda pixels: np.clip(pixels * 1.1 + 5, 0, 255).astype(np.uint8),
    "gray": lambda pixels: cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
    "cropped": lambda pixels: np.ascontiguousarray(pixels[1:-1, 2:-2]),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_found_among_others(change: str) -> None:
    photos = [photo(number) for number in range(20)]
    codes = np.stack([hash_codes(pixels) for pixels in [*photos, COPIES[change](photos[7])]])
    assert near_copy_of(codes).tolist() == [*range(20), 7]


def test_a_mirrored_image_is_not_a_copy_and_does_not_hide_one() -> None:
    images = [photo(0), photo(1), np.ascontiguousarray(photo(0)[:, ::-1]), recompressed(photo(0))]
    assert near_copy_of(np.stack([hash_codes(pixels) for pixels in images])).tolist() == [0, 1, 2, 0]


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
        expected.append(min(max(nearest) // 3, MOST_BITS))
    assert distance_limits(straight, mirrored, upside_down).tolist() == expected


def test_no_limit_is_above_48_bits() -> None:
    """Every bit of every decoy differs; a third of 256 would be 85."""
    zeros, ones = np.zeros((2, HASH_BITS), np.float32) - 1, np.ones((2, HASH_BITS), np.float32)
    assert distance_limits(zeros, ones, ones).tolist() == [48, 48]


def test_a_symmetric_image_is_not_its_own_decoy() -> None:
    """Image 600, in the second block, equals its mirror image; only the decoys of the others count."""
    codes = np.random.default_rng(3).integers(0, 256, (700, 3, HASH_BITS // 8), np.uint8)
    codes[600, 1:] = codes[600, 0]
    assert distance_limits(*signs(codes))[600] > 20


def test_copies_are_within_the_limits_of_both_images() -> None:
    """`b` is 30 bits from the only near decoy, so its limit is 10; `a` is 42 bits from it, so its limit is 14."""
    generator = np.random.default_rng(4)
    decoy = generator.integers(0, 2, HASH_BITS).astype(np.uint8)
    b = decoy.copy()
    b[:30] ^= 1
    for distance, expected in ((12, [0, 1, 2]), (10, [0, 0, 2])):
        a = b.copy()
        a[30 : 30 + distance] ^= 1
        far = generator.integers(0, 2, (5, HASH_BITS)).astype(np.uint8)
        codes = np.packbits(np.stack([[a, far[0], far[1]], [b, far[2], far[3]], [far[4], decoy, decoy]]), axis=2)
        assert near_copy_of(codes).tolist() == expected


def test_images_that_collide_with_decoys_have_only_identical_copies() -> None:
    """Thin bars, mirrored or upside down, are again such bars: by chance they are as alike as copies."""
    bars = []
    for place in range(4, 60, 2):
        pixels = np.full((64, 64, 3), 255, np.uint8)
        pixels[30:34, place : place + 2] = 0
        bars.append(pixels)
    codes = np.stack([hash_codes(pixels) for pixels in [*bars, bars[0]]])
    assert near_copy_of(codes).tolist() == [*range(len(bars)), 0]


def test_textures_are_hardly_ever_mistaken_for_copies() -> None:
    generator = np.random.default_rng(1)
    codes = np.stack([hash_codes(TEXTURES[name](generator)) for name in TEXTURES for _ in range(25)])
    assert (near_copy_of(codes) != np.arange(len(codes))).sum() <= 2


def test_a_chain_of_small_changes_is_more_than_one_image() -> None:
    """Each is within the limit of the next, but the ends are not: a copy is always of an image that is kept."""
    chain = np.zeros((5, HASH_BITS), np.uint8)
    chain[:, : HASH_BITS // 2] = np.random.default_rng(0).integers(0, 2, HASH_BITS // 2)
    for step in range(5):
        chain[step, HASH_BITS // 2 : HASH_BITS // 2 + 20 * step] = 1
    decoys = np.random.default_rng(1).integers(0, 2, (5, 2, HASH_BITS)).astype(np.uint8)
    codes = np.packbits(np.concatenate([chain[:, None], decoys], axis=1), axis=2)
    limit = int(distance_limits(*signs(codes)).min())
    assert 20 <= limit < 60
    kept = near_copy_of(codes).tolist()
    assert kept[:2] == [0, 0]
    assert kept[3] != 0
    assert kept[4] in (3, 4) or kept[4] == kept[3]


def test_more_rows_than_a_block() -> None:
    codes = np.random.default_rng(2).integers(0, 256, (700, 3, HASH_BITS // 8), np.uint8)
    codes[650] = codes[3]
    expected = list(range(700))
    expected[650] = 3
    assert near_copy_of(codes).tolist() == expected


def looked(
    name: str,
    number: int,
    class_name: str = "ants",
    split: SplitName = "train",
    digest: str | None = None,
    width: int = 200,
    **measures: Any,
) -> ImageLook:
    """Return the look at photo `number`; its digest is its name unless given."""
    file = LabelledFile(Path(name), class_name, split)
    measures = {"deviation": 40.0, **measures}
    return ImageLook(file, digest=digest or name, width=width, height=100, codes=hash_codes(photo(number)), **measures)


def found(*looks: ImageLook) -> list[tuple[str, str, list[str]]]:
    return [(finding.kind, finding.message, list(map(str, finding.paths))) for finding in find_copies(looks)]


def test_the_copy_of_validation_is_kept_then_the_one_with_the_most_pixels_then_the_first_path() -> None:
    same = [looked(name, 1, digest="1") for name in ("b", "a")]
    assert found(*same) == [("identical", "2 images of 'ants' in train", ["a", "b"])]
    same.append(looked("c", 1, digest="1", width=300))
    assert found(*same) == [("identical", "3 images of 'ants' in train", ["c", "a", "b"])]
    same.append(looked("d", 1, split="val", digest="1"))
    assert found(*same) == [("identical-sides", "4 images of 'ants'", ["d", "c", "a", "b"])]
    same.append(looked("e", 1, "bees", digest="1"))
    assert found(*same) == [("identical-classes", "5 images in 'ants' and 'bees'", ["d", "c", "a", "b", "e"])]


DECOYS = [looked(f"other{number}", number) for number in range(10, 14)]  # without decoys nothing can be near


def test_nearly_identical_images_by_class_and_split() -> None:
    near = [("near", "2 images of 'ants' in train", ["a", "b"])]
    assert found(looked("a", 1), looked("b", 1), *DECOYS) == near
    sides = [("near-sides", "2 images of 'ants'", ["b", "a"])]
    assert found(looked("a", 1), looked("b", 1, split="val"), *DECOYS) == sides
    classes = [("near-classes", "2 images in 'ants' and 'bees'", ["a", "b"])]
    assert found(looked("a", 1), looked("b", 1, "bees"), *DECOYS) == classes
    assert found(looked("a", 1), looked("b", 2), *DECOYS) == []


def test_too_many_images_to_compare(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    looks = [looked("a", 1, digest="1"), looked("b", 1, digest="1"), looked("c", 1), *DECOYS]
    monkeypatch.setattr(copies, "MOST_COMPARED", len(looks) - 1)  # identical ones count once
    assert [kind for kind, _, _ in found(*looks)] == ["identical", "near"]
    assert not caplog.messages
    monkeypatch.setattr(copies, "MOST_COMPARED", len(looks) - 2)
    assert [kind for kind, _, _ in found(*looks)] == ["identical"]
    assert caplog.messages == ["nearly identical images are not looked for: only up to 5 images are compared"]


def test_one_of_several_identical_images_stands_for_all_in_the_search_for_near_copies() -> None:
    looks = [looked("a", 1, digest="1"), looked("b", 1, digest="1"), looked("c", 1), *DECOYS]
    assert found(*looks) == [
        ("identical", "2 images of 'ants' in train", ["a", "b"]),
        ("near", "2 images of 'ants' in train", ["a", "c"]),
    ]


def test_plain_damaged_and_contradictory_images_are_never_nearly_identical() -> None:
    assert found(looked("a", 1), looked("b", 1, deviation=1.9), *DECOYS) == []
    assert found(looked("a", 1), looked("b", 1, damage="premature end of data segment"), *DECOYS) == []
    mixed = [looked("a", 1, digest="1"), looked("b", 1, "bees", digest="1"), looked("c", 1)]
    assert [kind for kind, *_ in found(*mixed, *DECOYS)] == ["identical-classes"]


def test_an_unreadable_image_is_not_a_copy() -> None:
    assert found(*(ImageLook(LabelledFile(Path(name), "ants", "train"), "the file is empty") for name in "ab")) == []


def test_copies_of_copies_share_a_group() -> None:
    """`b` is identical to `a`, and `a` nearly a copy of `c`."""
    looks = [looked("a", 1, digest="1"), looked("b", 1, digest="1"), looked("c", 1, width=300), *DECOYS]
    assert copy_groups(looks, list(find_copies(looks))) == [0, 0, 0, 1, 2, 3, 4]
    assert copy_groups(looks, []) == [0, 1, 2, 3, 4, 5, 6]
