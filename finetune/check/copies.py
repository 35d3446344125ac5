"""Which pictures are nearly copies of which, by their perceptual hashes."""

import numpy as np
from numpy.typing import NDArray

from finetune.check.look import HASH_BITS

MOST = 48  # bits; 398 photos recompressed, shrunk, brightened or cropped by 4 % differ by 2 to 54, other photos by 90
SHARE = 1 / 3  # of the nearest decoy's distance; 1/2 called 35 pairs of 1,797 different digits copies, 1/3 none
_BLOCK = 512  # rows at once: 20 MB a product for 10,000 pictures

Signs = NDArray[np.float32]  # a bit is 1 or -1, so that a product of matrices, exact in float32, counts equal bits


def nearest_kept(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return for each picture the row of the one it is nearly a copy of, its own row for a picture that is none.

    `codes`: (pictures, 3, HASH_BITS / 8) of `hash_codes`, those to keep first. A picture is a copy only of one that is
    none itself, so that a long series of little changes does not become one picture. How many bits copies may
    differ by is settled for each picture by `limits`.
    """
    signs = [np.unpackbits(codes[:, i], axis=1).astype(np.float32) * 2 - 1 for i in range(3)]
    least = HASH_BITS - 2 * limits(*signs)  # what the product of two copies is at least
    kept = np.full(len(codes), -1)
    for start in range(0, len(codes), _BLOCK):
        rows = slice(start, start + _BLOCK)
        near = signs[0][rows] @ signs[0].T >= np.maximum(least[rows, None], least)
        for row, copies in enumerate(near, start):
            if kept[row] < 0:
                kept[copies & (kept < 0)] = row
                kept[row] = row
    return kept


def limits(signs: Signs, mirrored: Signs, upside_down: Signs) -> Signs:
    """Return how many bits each picture's copies may differ by: SHARE of what its nearest decoy does, MOST at most.

    Decoys are the mirror images of all other pictures, and those upside down: as plain, as small and as crowded as the
    data, but no copies; the kind that is farther off counts, for data may hold mirrored copies. So photos get about 34
    bits, while of digits and flat drawings, which collide, only what is much nearer than chance is a copy. The idea is
    that of target and decoy data bases in proteomics (Elias and Gygi 2007).
    """
    nearest = np.maximum(*(_nearest(signs, decoys) for decoys in (mirrored, upside_down)))
    return np.minimum(np.floor(nearest * np.float32(SHARE)), MOST)


def _nearest(signs: Signs, decoys: Signs) -> Signs:
    """Return in how many bits each picture differs from the nearest decoy of another one."""
    nearest = np.empty(len(signs), np.float32)
    for start in range(0, len(signs), _BLOCK):
        products = signs[start : start + _BLOCK] @ decoys.T
        rows = np.arange(len(products))
        products[rows, start + rows] = -HASH_BITS  # its own decoy: a picture may be symmetric
        nearest[start : start + _BLOCK] = (HASH_BITS - products.max(axis=1)) / 2
    return nearest
