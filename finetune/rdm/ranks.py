"""Spearman's rank correlation and Kendall's tau-a, exact, with BYTES_PER_PAIR of memory and a few pieces.

The 50 million pairs of 10,000 stimuli take 400 MB; scipy.stats.kendalltau holds several such arrays, and has no tau-a.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.rdm.pairs import PIECE, Pairs, pieces_of

BYTES_PER_PAIR = 8  # the sorted numbers, or keys that hold two ranks of 32 bits


class Ranking(NamedTuple):
    """Ranks, and how many pairs of them are tied.

    `doubled`: twice the rank from 1 on, the mean rank for tied values, so that all are whole numbers of up to 32 bits.
    """

    doubled: Pairs
    tied: int


def rank(numbers: Pairs, doubled: Pairs) -> Ranking:
    """Write the doubled ranks of the numbers to `doubled`, uint32, and return them."""
    ordered = np.empty(len(numbers))
    for places in pieces_of(len(numbers)):
        ordered[places] = numbers.read(places)
    ordered.sort()
    tied = 0
    for places in pieces_of(len(numbers)):
        piece = numbers.read(places)
        order = np.argsort(piece)
        smaller = np.searchsorted(ordered, piece[order], "left")
        not_larger = np.searchsorted(ordered, piece[order], "right")
        tied += int((not_larger - smaller - 1).sum())
        ranks = np.empty(len(piece), np.uint32)
        ranks[order] = smaller + not_larger + 1
        doubled.write(places, ranks)
    return Ranking(doubled, tied // 2)


def spearman(a: Ranking, b: Ranking) -> float:
    """Return Pearson's correlation of the ranks; NaN if all numbers of one side are equal."""
    count = len(a.doubled)
    products = squares_a = squares_b = 0.0
    for places in pieces_of(count):
        ranks_a = a.doubled.read(places) - (count + 1.0)
        ranks_b = b.doubled.read(places) - (count + 1.0)
        products += float(ranks_a @ ranks_b)
        squares_a += float(ranks_a @ ranks_a)
        squares_b += float(ranks_b @ ranks_b)
    scale = math.sqrt(squares_a * squares_b)
    return products / scale if scale else math.nan


def kendall_tau_a(a: Ranking, b: Ranking) -> float:
    """Return (concordant - discordant) / all pairs of numbers; a pair that is tied on one side counts as neither.

    Sorted by a, then b, discordant pairs are those of which b's order is reversed (Knight 1966, JASA 61, 436-439).
    """
    count = len(a.doubled)
    keys = np.empty(count, np.uint64)
    for places in pieces_of(count):
        keys[places] = a.doubled.read(places)
        keys[places] <<= np.uint64(32)
        keys[places] |= b.doubled.read(places)
    keys.sort()
    tied_in_both = _tied(keys)
    keys &= np.uint64(0xFFFFFFFF)
    discordant = inversions(keys)
    every = count * (count - 1) // 2
    concordant = every - a.tied - b.tied + tied_in_both - discordant
    return (concordant - discordant) / every


def inversions(values: NDArray[np.uint64]) -> int:
    """Return how many pairs have the larger value first; sorts the values, which are less than 2**63."""
    count, half, width = 0, 1, 2
    while half < len(values):
        whole = len(values) // width * width
        count += _merge(values[:whole].reshape(-1, width), half) + _merge(values[np.newaxis, whole:], half)
        half, width = width, 2 * width
    return count


def _merge(rows: NDArray[np.uint64], half: int) -> int:
    """Sort rows whose first `half` and rest are sorted; return how many of the rest come before larger ones."""
    count, width = rows.shape
    right = width - half
    if count == 0 or right <= 0:
        return 0
    rows <<= np.uint64(1)
    rows[:, half:] |= np.uint64(1)  # marks the rest, and sorts it after equal values
    rows.sort(axis=1)
    flat, places = rows.reshape(-1), 0
    for start in range(0, flat.size, PIECE):
        marks = (flat[start : start + PIECE] & np.uint64(1)).astype(np.int64)
        places += int(marks @ (np.arange(start, start + len(marks)) % width))
    rows >>= np.uint64(1)
    # Of the rest, k others come before the one of number k: what remains of the places are those of the first half.
    return count * (half * right + right * (right - 1) // 2) - places


def _tied(ordered: NDArray[Any]) -> int:
    """Return how many pairs of sorted values are equal."""
    count, last = 0, -1  # the place of the last value of the group before
    for start in range(0, len(ordered) - 1, PIECE):
        piece = ordered[start : start + PIECE + 1]
        ends = start + np.flatnonzero(piece[1:] != piece[:-1])
        lengths = np.diff(ends, prepend=last)
        count += int((lengths * (lengths - 1) // 2).sum())
        last = ends[-1] if len(ends) else last
    length = len(ordered) - 1 - last
    return count + int(length * (length - 1) // 2)
