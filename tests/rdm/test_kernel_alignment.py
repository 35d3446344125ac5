"""Linear CKA by hand, and from its definition."""

import math
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from finetune.rdm.kernel_alignment import SquaredDistances, linear_cka
from finetune.rdm.pairs import Pairs


def distances(values: NDArray[np.float64]) -> SquaredDistances:
    pairs = pdist(values, "sqeuclidean")
    return SquaredDistances(Pairs(BytesIO(pairs.tobytes()), 0, len(pairs)), squareform(pairs).sum(axis=1))


def by_definition(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    norm = np.linalg.norm
    return float(norm(y.T @ x) ** 2 / (norm(x.T @ x) * norm(y.T @ y)))


def test_by_hand() -> None:
    """Of x = (-1, 0, 1) and y = (1, -2, 1), Y'X is 0. Of x and (0, 0, 3), centered (-1, -1, 2), 3² / (2 × 6) = 3/4."""
    x, y, z = (distances(np.array(values, np.float64)[:, np.newaxis]) for values in ((-1, 0, 1), (1, -2, 1), (0, 0, 3)))
    assert linear_cka(x, y) == pytest.approx(0, abs=1e-12)
    assert linear_cka(x, z) == pytest.approx(0.75)
    assert linear_cka(x, x) == pytest.approx(1)


def test_from_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.rdm.pairs.PIECE", 10)
    random = np.random.default_rng(0)
    x = random.normal(3, 1, (12, 30))
    y = random.normal(-1, 2, (12, 7)) + x[:, :7]
    expected = by_definition(x, y)
    assert linear_cka(distances(x), distances(y)) == pytest.approx(expected, abs=1e-12)
    rotated = 5 * y @ np.linalg.qr(random.normal(size=(7, 7)))[0] + 100
    assert linear_cka(distances(x), distances(rotated)) == pytest.approx(expected, abs=1e-9)


def test_equal_stimuli_have_none() -> None:
    assert math.isnan(linear_cka(distances(np.ones((4, 3))), distances(np.eye(4))))
