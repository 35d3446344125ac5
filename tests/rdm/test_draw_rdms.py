"""The figure: which cells it shows, and its formats."""

import warnings
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.rdm import draw_rdms as module
from finetune.rdm.draw_rdms import Panel, RdmImage, draw_rdms
from finetune.rdm.tiles import Tile


def image(whole: np.ndarray, edges: list[int]) -> RdmImage:
    """Return the image of a matrix that comes in tiles of its upper half."""
    drawn = RdmImage(len(whole))
    pieces = [slice(*edge) for edge in pairwise(edges)]
    for number, rows in enumerate(pieces):
        for columns in pieces[number:]:
            drawn.add(Tile(rows, columns, whole[rows, columns], whole[rows, columns]))
    return drawn


@pytest.mark.parametrize("edges", [[0, 7], [0, 3, 7], [0, 2, 4, 6, 7]])
def test_cells(edges: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven stimuli in seven cells, and in three: groups of 3, 2 and 2."""
    whole = np.random.default_rng(0).random((7, 7))
    whole += whole.T
    np.testing.assert_allclose(image(whole, edges).cells(), whole)
    monkeypatch.setattr(module, "CELLS", 3)
    groups = [slice(0, 3), slice(3, 5), slice(5, 7)]
    expected = [[whole[rows, columns].mean() for columns in groups] for rows in groups]
    np.testing.assert_allclose(image(whole, edges).cells(), expected)


def panels() -> list[Panel]:
    zero, whole = np.zeros((4, 4)), 1 - np.eye(4)
    several = [Panel(f"conv{number}", image(whole, [0, 4]), number == 0) for number in range(6)]
    return [*several, Panel("$fc7 na\udcffme", image(zero, [0, 4]), True)]


@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF-"), (".svg", b"<?xml")])
def test_formats(ending: str, start: bytes, tmp_path: Path) -> None:
    """The same bytes every time, without a warning; a matrix of zeros is drawn too."""
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    for file in (first, second):
        with warnings.catch_warnings(action="error"):
            draw_rdms(file, "correlation distance", panels())
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()
    if ending == ".svg":
        text = first.read_text(encoding="utf-8")
        assert all(title in text for title in ("correlation distance", "conv5", "$fc7 na\\xffme"))
    if ending == ".png":
        height, width, _ = png_shape(first)
        assert (width, height) == (round(120 * (5 * 2.6 + 0.2)), round(120 * (3 * 2.3 + 0.4)))


def png_shape(file: Path) -> tuple[int, ...]:
    return cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR).shape


def test_the_first_matrix_of_a_file_begins_a_row() -> None:
    assert module._places(panels()) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (2, 0)]
