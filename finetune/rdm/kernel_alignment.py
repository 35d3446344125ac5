"""Linear CKA of two layers, from the squared distances between stimuli: nothing depends on the number of units."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.rdm.pairs import Pairs, pieces_of


class SquaredDistances(NamedTuple):
    """The squared Euclidean distances between all pairs of stimuli, and their sum for each stimulus, (stimuli,)."""

    pairs: Pairs
    sums: NDArray[np.float64]


def linear_cka(a: SquaredDistances, b: SquaredDistances) -> float:
    """Return the linear centered kernel alignment of two layers, 0 to 1; NaN if all stimuli are equal in one.

    It is |Y'X|² / (|X'X| |Y'Y|) for X and Y, (stimuli, units), with the mean of each unit subtracted (Kornblith et al.
    2019, eq. 4 and 5). With distances D, X X' is -1/2 H D H, where H subtracts the mean.
    """
    scale = math.sqrt(max(0.0, _product(a, a)) * max(0.0, _product(b, b)))  # rounding may leave less than 0
    return _product(a, b) / scale if scale else math.nan


def _product(a: SquaredDistances, b: SquaredDistances) -> float:
    """Return the sum of the products of H A H and H B H, 4 |Y'X|², for the matrices A and B of distances."""
    count = len(a.sums)
    both = sum(float(a.pairs.read(places) @ b.pairs.read(places)) for places in pieces_of(len(a.pairs)))
    rows = float(a.sums @ b.sums)
    return 2 * both - 2 * rows / count + float(a.sums.sum() * b.sums.sum()) / count**2
