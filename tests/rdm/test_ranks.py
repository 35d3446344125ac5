"""Rank correlations by hand, and against scipy's."""

import math
import tracemalloc
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from finetune.rdm import ranks
from finetune.rdm.pairs import Pairs
from finetune.rdm.ranks import BYTES_PER_PAIR, Ranking, inversions, kendall_tau_a, rank, spearman


def ranking(values: NDArray[np.float64] | list[float]) -> Ranking:
    return rank(stored(np.array(values, np.float64)), stored(np.zeros(len(values), np.uint32)))


def stored(numbers: NDArray[Any]) -> Pairs:
    return Pairs(BytesIO(numbers.tobytes()), 0, len(numbers), numbers.dtype.type)


@pytest.fixture(params=[7, 1 << 20])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.rdm.pairs.PIECE", request.param)
    monkeypatch.setattr(ranks, "PIECE", request.param)


def test_four_items_by_hand() -> None:
    """Two of six pairs are discordant, (4 - 2) / 6. The ranks differ by 0, 2, 1 and 1: 1 - 6 × 6 / 60."""
    a, b = ranking([1, 2, 3, 4]), ranking([10, 40, 20, 30])
    assert kendall_tau_a(a, b) == pytest.approx(1 / 3)
    assert spearman(a, b) == pytest.approx(0.4)


def test_ties_count_as_neither() -> None:
    """(a, b) is tied on the left, (b, c) on both sides in the second case: 4 concordant of 6, then 5 of 6."""
    assert kendall_tau_a(ranking([1, 1, 2, 3]), ranking([1, 2, 2, 3])) == pytest.approx(4 / 6)
    assert kendall_tau_a(ranking([1, 2, 2, 3]), ranking([1, 2, 2, 3])) == pytest.approx(5 / 6)


def test_doubled_ranks() -> None:
    found = ranking([5, -1, 5, 2])
    assert found.doubled.read(slice(0, 4)).tolist() == [7, 2, 7, 4]
    assert found.tied == 1


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("count", [2, 3, 16, 17, 100, 515])
@pytest.mark.parametrize("levels", [1, 3, 40, 0])
def test_against_scipy(count: int, levels: int) -> None:
    """`levels`: how many different values there are, 0 for no ties, where tau-a is tau-b."""
    random = np.random.default_rng(count + levels)
    a, b = random.normal(size=(2, count))
    b += a
    if levels:
        a, b = (np.floor(values * levels / 4) for values in (a, b))
    left, right = ranking(a), ranking(b)
    for found, values in ((left, a), (right, b)):
        np.testing.assert_array_equal(found.doubled.read(slice(0, count)), 2 * stats.rankdata(values))
    every = count * (count - 1) / 2
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert spearman(left, right) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
        to_tau_a = math.sqrt((every - left.tied) * (every - right.tied)) / every  # of tau-b
        assert kendall_tau_a(left, right) == pytest.approx(stats.kendalltau(a, b).statistic * to_tau_a, abs=1e-12)
        if not levels:
            assert kendall_tau_a(left, right) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)


def test_all_equal() -> None:
    assert math.isnan(spearman(ranking([1, 1, 1]), ranking([1, 2, 3])))
    assert kendall_tau_a(ranking([1, 1, 1]), ranking([1, 2, 3])) == 0


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("count", [0, 1, 2, 5, 33, 64])
def test_inversions(count: int) -> None:
    values = np.random.default_rng(count).integers(0, 20, count).astype(np.uint64)
    expected = sum(int((values[:place] > value).sum()) for place, value in enumerate(values))
    copy = values.copy()
    assert inversions(copy) == expected
    np.testing.assert_array_equal(copy, np.sort(values))


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes in use at once, as NumPy counts them, in addition to the numbers and ranks, which are in a file."""
    monkeypatch.setattr("finetune.rdm.pairs.PIECE", 200)
    monkeypatch.setattr(ranks, "PIECE", 200)
    count = 100_000
    numbers = [stored(values) for values in np.random.default_rng(0).normal(size=(2, count))]
    doubled = [stored(np.zeros(count, np.uint32)) for _ in numbers]
    tracemalloc.start()
    rankings = [rank(*both) for both in zip(numbers, doubled, strict=True)]
    spearman(*rankings)
    kendall_tau_a(*rankings)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 800_000 <= peak < BYTES_PER_PAIR * count + 150_000
