"""Identical and nearly identical images: which are copies of which, and which copy is kept.

Identical images have the same bytes. Nearly identical ones have perceptual hashes (`look.hash_codes`) that differ in
few bits; how few is measured against decoys, the mirrored and upside-down images of the same data.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune.check.finding_kinds import Finding
from finetune.check.look import ImageLook
from finetune.check.oddities import ONE_COLOUR
from finetune.check.perceptual_hash import HASH_BITS

logger = logging.getLogger(__name__)

MOST_BITS = 48  # 398 photos recompressed, shrunk, brightened or cropped by 4 % differ by 2 to 54, other photos by 90
DECOY_SHARE = 1 / 3  # of the nearest decoy's distance; 1/2 took 35 pairs of 1,797 different digits for copies, 1/3 none
MOST_COMPARED = 100_000  # every pair is compared: 40 s for 30,000 images on two cores, 8 minutes for 100,000
_BLOCK = 512  # rows at once: 20 MB per product for 10,000 images

Signs = NDArray[np.float32]  # a bit is 1 or -1, so that a product of matrices, exact in float32, counts equal bits


def find_copies(looks: Iterable[ImageLook]) -> Iterator[Finding]:
    """Yield every group of identical or nearly identical images, the one to keep first.

    Every image must have its split here. Images of one colour and damaged ones are never called nearly identical. Of
    more than MOST_COMPARED images, only identical ones are found, and a line says so.
    """
    by_digest: dict[str, list[ImageLook]] = {}
    for image in _best_to_keep_first(image for image in looks if image.error is None):
        by_digest.setdefault(image.digest, []).append(image)
    yield from (_finding("identical", same) for same in by_digest.values() if len(same) > 1)
    firsts = [same[0] for same in by_digest.values() if len({image.file.class_name for image in same}) == 1]
    firsts = [image for image in firsts if _is_comparable(image)]
    codes = [image.codes for image in firsts if image.codes is not None]
    if len(codes) < 2:
        return
    if len(codes) > MOST_COMPARED:
        logger.warning(
            "nearly identical images are not looked for: only up to %s images are compared", f"{MOST_COMPARED:,}"
        )
        return
    by_kept: dict[int, list[ImageLook]] = {}
    for kept, image in zip(near_copy_of(np.stack(codes)).tolist(), firsts, strict=True):
        by_kept.setdefault(kept, []).append(image)
    yield from (_finding("near", same) for same in by_kept.values() if len(same) > 1)


def copy_groups(looks: Sequence[ImageLook], copies: Iterable[Finding]) -> list[int]:
    """Return a group number for each image; copies of each other, as `find_copies` found them, share one."""
    leader = {path: copy.paths[0] for copy in copies for path in copy.paths[1:] if path != copy.paths[0]}
    numbers: dict[Path, int] = {}
    groups = []
    for image in looks:
        path = image.file.path
        while path in leader:  # an identical copy leads to its first, and that to the image it is nearly a copy of
            path = leader[path]
        groups.append(numbers.setdefault(path, len(numbers)))
    return groups


def comparable_codes(image: ImageLook) -> NDArray[np.uint8] | None:
    """Return the codes of an image that can be nearly identical to another, None for one that cannot."""
    return image.codes if _is_comparable(image) else None


def near_groups(codes: Mapping[str, NDArray[np.uint8] | None]) -> list[list[str]]:
    """Return groups of digests: each image with all that it is nearly identical to, whatever their classes and splits.

    `codes`: digest -> `comparable_codes`. An image may be in several groups. Those that `find_copies` would report, in
    any splits, have one in common.
    """
    comparable = {digest: found for digest, found in sorted(codes.items()) if found is not None}
    if len(comparable) < 2:
        return []
    digests = list(comparable)
    groups = ([digests[row] for row in np.flatnonzero(near)] for near in _near_rows(np.stack([*comparable.values()])))
    return [group for group in groups if len(group) > 1]


def near_copy_of(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return for each image the row of the kept image that it nearly copies, or its own row.

    `codes`: (images, 3, HASH_BITS / 8) of `hash_codes`, the images to keep first. An image can only copy one that is
    not a copy itself, so that a long series of small changes does not count as one image. `distance_limits` sets how
    many bits copies may differ by.
    """
    kept = np.full(len(codes), -1)
    for row, copies in enumerate(_near_rows(codes)):
        if kept[row] < 0:
            kept[copies & (kept < 0)] = row
            kept[row] = row
    return kept


def _near_rows(codes: NDArray[np.uint8]) -> Iterator[NDArray[np.bool_]]:
    """Yield for each image which images are nearly identical to it, itself included unless none can be."""
    signs = [np.unpackbits(codes[:, i], axis=1).astype(np.float32) * 2 - 1 for i in range(3)]
    least = HASH_BITS - 2 * distance_limits(*signs)  # the least product of two copies
    for start in range(0, len(codes), _BLOCK):
        rows = slice(start, start + _BLOCK)
        yield from signs[0][rows] @ signs[0].T >= np.maximum(least[rows, None], least)


def distance_limits(signs: Signs, mirrored: Signs, upside_down: Signs) -> Signs:
    """Return for each image how many bits its copies may differ by.

    That is DECOY_SHARE of the distance to the nearest decoy, at most MOST_BITS.
    Decoys are all other images, mirrored or upside down: as plain, as small and as crowded as the data, yet not copies.
    The farther of the two kinds counts, because the data itself may hold mirrored copies. Photos get about 34 bits;
    digits and flat drawings, whose hashes collide, must be much closer than chance. The idea is that of target-decoy
    searches in proteomics (Elias and Gygi 2007).
    """
    nearest = np.maximum(*(_nearest(signs, decoys) for decoys in (mirrored, upside_down)))
    return np.minimum(np.floor(nearest * np.float32(DECOY_SHARE)), MOST_BITS)


def _nearest(signs: Signs, decoys: Signs) -> Signs:
    """Return in how many bits each image differs from the nearest decoy of another image."""
    nearest = np.empty(len(signs), np.float32)
    for start in range(0, len(signs), _BLOCK):
        products = signs[start : start + _BLOCK] @ decoys.T
        rows = np.arange(len(products))
        products[rows, start + rows] = -HASH_BITS  # never its own decoy: an image may be symmetric
        nearest[start : start + _BLOCK] = (HASH_BITS - products.max(axis=1)) / 2
    return nearest


def _is_comparable(image: ImageLook) -> bool:
    return image.error is None and image.deviation >= ONE_COLOUR and not image.damage


def _best_to_keep_first(looks: Iterable[ImageLook]) -> list[ImageLook]:
    """Sort images by which copy to keep: validation and test first, so that accuracy stays comparable, then pixels."""
    return sorted(looks, key=lambda image: (image.file.split == "train", -image.width * image.height, image.file.path))


def _finding(kind: str, same: Sequence[ImageLook]) -> Finding:
    """Return the finding of a group of copies; the kind depends on which classes and splits they are in."""
    classes = sorted({image.file.class_name for image in same})
    splits = sorted({str(image.file.split) for image in same})
    if len(classes) > 1:
        kind, where = f"{kind}-classes", f"in {' and '.join(map(repr, classes))}"
    elif len(splits) > 1:
        kind, where = f"{kind}-sides", f"of {classes[0]!r}"
    else:
        where = f"of {classes[0]!r} in {splits[0]}"
    return Finding(kind, f"{len(same)} images {where}", tuple(image.file.path for image in same))
