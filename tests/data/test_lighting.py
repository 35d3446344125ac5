"""Principal components of images whose covariance is known."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.data import lighting
from finetune.data.augment import Lighting
from finetune.data.images import read_image
from finetune.data.lighting import principal_components
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import DataError

EIGHT = Preprocessing(size=8, mean=(0, 0, 0), resize_to=8)


def write(path: Path, rgb: np.ndarray) -> Path:
    cv2.imwrite(str(path), rgb[..., ::-1].astype(np.uint8))
    return path


def test_components_by_hand(tmp_path: Path) -> None:
    """Mean ± 50 · (0.6, 0.8, 0) ± 20 · (0.8, -0.6, 0) ± 10 · (0, 0, 1), every combination eight times."""
    steps = np.array([(30, 40, 0), (16, -12, 0), (0, 0, 10)])
    colors = [128 + np.array(signs) @ steps for signs in product((-1, 1), repeat=3)]
    found = principal_components([write(tmp_path / "a.png", np.array(colors * 8).reshape(8, 8, 3))], EIGHT)
    np.testing.assert_allclose(found.scales, (50, 20, 10), rtol=1e-9)
    np.testing.assert_allclose(found.vectors, [(0.6, 0.8, 0), (0.8, -0.6, 0), (0, 0, 1)], atol=1e-9)


def test_gray_images_vary_between_black_and_white_only(tmp_path: Path) -> None:
    grays = np.repeat(np.array([100, 150] * 32).reshape(8, 8, 1), 3, axis=2)
    found = principal_components([write(tmp_path / "a.png", grays)], EIGHT)
    np.testing.assert_allclose(found.scales, (25 * 3**0.5, 0, 0), atol=1e-4)
    np.testing.assert_allclose(found.vectors[0], [3**-0.5] * 3)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Six images of correlated colours, in order."""
    generator = np.random.default_rng(0)
    mix = np.array([(40, 30, 20), (10, -20, 5), (3, 1, -6)])
    images = [120 + number + generator.normal(size=(20, 24, 3)) @ mix for number in range(6)]
    return [write(tmp_path / f"{number}.png", image.clip(0, 255)) for number, image in enumerate(images)]


def test_components_are_those_of_all_pixels_the_network_sees(paths: list[Path]) -> None:
    preprocessing = Preprocessing(size=16, mean=(0, 0, 0))  # BGR
    pixels = np.concatenate([to_input(read_image(path), preprocessing).reshape(-1, 3)[:, ::-1] for path in paths])
    values, vectors = np.linalg.eigh(np.cov(pixels.T, bias=True))
    found = principal_components(paths, preprocessing)
    np.testing.assert_allclose(found.scales, np.sqrt(values[::-1]), rtol=1e-6)
    np.testing.assert_allclose(np.abs(np.array(found.vectors) @ vectors[:, ::-1]), np.eye(3), atol=1e-6)
    gray = replace(preprocessing, mean=(0,), std=(1,), channel_order="GRAY")
    for same in (
        principal_components(paths, gray),
        principal_components(paths, replace(preprocessing, channel_order="RGB")),
        principal_components(paths[::-1], preprocessing),
    ):
        assert same == found, "gray networks see colours too, and order does not change a bit"


def test_the_papers_scale() -> None:
    """Pixels from 0 to 1 with a standard deviation of 0.2 have the eigenvalue 0.04, which shifts by 0.04 · 255."""
    program = Lighting.of((51, 25.5, 0), np.eye(3))
    assert program.as_in_paper().vectors == program.vectors
    np.testing.assert_allclose(program.as_in_paper().scales, (10.2, 2.55, 0), rtol=1e-12)
    np.testing.assert_allclose(program.as_in_paper().shift(np.array([0.1, -1, 5])), (1.02, -2.55, 0), rtol=1e-6)


def test_at_most_so_many_images_evenly_chosen(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lighting, "MOST_IMAGES", 3)
    chosen = [paths[0], paths[2], paths[5]]
    assert principal_components(paths, EIGHT) == principal_components(chosen, EIGHT)


def test_unreadable_images_are_skipped(paths: list[Path], break_png: Callable[[Path], None]) -> None:
    expected = principal_components(paths[1:], EIGHT)
    break_png(paths[0])
    assert principal_components(paths, EIGHT) == expected


def test_no_readable_image(tmp_path: Path) -> None:
    for paths in ([], [tmp_path / "missing.png"]):
        with pytest.raises(
            DataError, match=f"^lighting needs images to take .+ from, but none of {len(paths)} can be read$"
        ):
            principal_components(paths, EIGHT)
