"""Dissimilarities against scipy's, by hand, and their memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from support.activation_files import random_layers, write_activations

from finetune.choices import Dissimilarity
from finetune.rdm import tiles as module
from finetune.rdm.activations import LayerMatrix, read_activations
from finetune.rdm.tiles import row_statistics, tile_bytes, tile_places, tiles, why_undefined


def matrix(layer: LayerMatrix, stimuli: list[int], metric: Dissimilarity) -> tuple[np.ndarray, np.ndarray]:
    """Return the dissimilarities and squared distances as whole matrices; NaN where no tile of the upper half is."""
    values, squared = np.full((2, len(stimuli), len(stimuli)), np.nan)
    for tile in tiles(layer, row_statistics(layer), np.array(stimuli), metric):
        values[tile.rows, tile.columns] = tile.values
        squared[tile.rows, tile.columns] = tile.squared_distances
    return values, squared


@pytest.mark.parametrize(("size", "units"), [(2048, 2048), (4, 7), (1, 1)])
@pytest.mark.parametrize("metric", ["correlation", "euclidean", "cosine"])
def test_against_scipy(
    metric: Dissimilarity, size: int, units: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STIMULI", size)
    monkeypatch.setattr(module, "UNITS", units)
    monkeypatch.setattr(module, "ROWS", 8 * 45 * size)
    layers = random_layers(11)
    stimuli = [0, 1, 3, 4, 5, 6, 7, 8, 10]
    upper = np.triu_indices(len(stimuli), 1)
    for layer in read_activations(write_activations(tmp_path / "acts.h5", layers)).layers:
        flat = layers[layer.name].reshape(11, -1)[stimuli].astype(np.float64)
        squared = squareform(pdist(flat, "sqeuclidean"))
        expected = squared / flat.shape[1] if metric == "euclidean" else squareform(pdist(flat, metric))
        found = matrix(layer, stimuli, metric)
        for values, wanted in zip(found, (expected, squared), strict=True):
            np.testing.assert_allclose(values[upper], wanted[upper], rtol=1e-9, atol=1e-12)


def test_by_hand(tmp_path: Path) -> None:
    """(1, 0, 0) and (0, 0, 3): both have one large value, at another place."""
    values = np.array([[1, 0, 0], [0, 0, 3], [2, 1, 1]], np.float32)
    (layer,) = read_activations(write_activations(tmp_path / "a.h5", {"fc7": values})).layers
    for metric, expected in (("correlation", [1.5, 0]), ("euclidean", [10 / 3, 1]), ("cosine", [1, 1 - 2 / 6**0.5])):
        found, _ = matrix(layer, [0, 1, 2], metric)
        np.testing.assert_allclose(found[0, 1:], expected, atol=1e-12)


def test_equal_stimuli_with_a_large_mean(tmp_path: Path) -> None:
    """The deviations are a millionth of the mean; of equal stimuli, no distance is below 0."""
    random = np.random.default_rng(1)
    values = 1e4 + random.normal(0, 1e-2, (4, 50))
    values[3] = values[0]
    (layer,) = read_activations(write_activations(tmp_path / "a.h5", {"fc7": values})).layers
    correlation, squared = matrix(layer, [0, 1, 2, 3], "correlation")
    np.testing.assert_allclose(correlation[0, 1:], [*pdist(values, "correlation")[:2], 0], atol=1e-6)
    assert 0 <= squared[0, 3] < 1e-12


def test_what_is_undefined(tmp_path: Path) -> None:
    values = np.array([[1, 2], [np.nan, 1], [np.inf, 1], [0.1, 0.1], [0, 0], [0, -1]], np.float32)
    (layer,) = read_activations(write_activations(tmp_path / "a.h5", {"fc7": values})).layers
    statistics = row_statistics(layer)
    unread = dict.fromkeys((1, 2), "fc7 is not finite")
    assert why_undefined(layer, statistics, "euclidean") == unread
    assert why_undefined(layer, statistics, "cosine") == unread | {4: "fc7 is 0 in all units"}
    assert why_undefined(layer, statistics, "correlation") == unread | dict.fromkeys(
        (3, 4), "fc7 is the same in all units"
    )


def test_tiles_cover_the_upper_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STIMULI", 3)
    covered = np.zeros((8, 8), int)
    for rows, columns in tile_places(8):
        covered[rows, columns] += 1
    assert (covered[np.triu_indices(8)] == 1).all()
    assert covered.max() == 1
    assert len(tile_places(8)) == 6


@pytest.mark.parametrize("metric", ["correlation", "euclidean", "cosine"])
@pytest.mark.parametrize(("stimuli", "units"), [(200, 1000), (400, 1000), (200, 3000)])
def test_memory(
    metric: Dissimilarity, stimuli: int, units: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes in use at once, as NumPy counts them, whatever the number of stimuli and units."""
    monkeypatch.setattr(module, "STIMULI", 64)
    monkeypatch.setattr(module, "UNITS", 128)
    monkeypatch.setattr(module, "ROWS", 8 * units)
    assert tile_bytes() == 294_912
    values = np.random.default_rng(2).normal(size=(stimuli, units)).astype(np.float32)
    (layer,) = read_activations(write_activations(tmp_path / "a.h5", {"fc7": values})).layers
    numbers = np.arange(stimuli)
    tracemalloc.start()
    for tile in tiles(layer, row_statistics(layer), numbers, metric):
        assert len(tile.values) <= 64
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 200_000 < peak < tile_bytes() + 20_000 + 100 * stimuli


def test_the_bound_that_is_documented() -> None:
    assert tile_bytes() == 218_103_808
    assert "218 MB" in (module.__doc__ or "")
