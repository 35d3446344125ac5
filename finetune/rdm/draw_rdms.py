"""The figure of all matrices, next to each other: PNG, or PDF or SVG for a paper, with the same bytes every time."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.data.class_name import valid_text
from finetune.rdm.tiles import Tile
from finetune.system.figure_file import figure_file

CELLS = 400  # of a drawn matrix, in each direction: more stimuli are averaged in groups
COLUMNS = 5
WIDTH, HEIGHT = 2.6, 2.3  # inches of a matrix with its colour bar
FONT_SIZE = 9


class RdmImage:
    """A matrix (stimuli, stimuli) at the size of its drawing: means of equal groups of neighbours if there are many."""

    def __init__(self, stimuli: int) -> None:
        cells = min(CELLS, stimuli)
        self._groups = np.arange(stimuli) * cells // stimuli  # of each stimulus
        self._sums = np.zeros((cells, cells))
        self._sizes = np.bincount(self._groups).astype(np.float64)

    def add(self, tile: Tile) -> None:
        """Add a tile of the upper half and, if it is not on the diagonal, its mirror image."""
        rows, columns = self._groups[tile.rows], self._groups[tile.columns]
        in_rows = np.add.reduceat(tile.values, _starts(rows), axis=0)
        sums = np.add.reduceat(in_rows, _starts(columns), axis=1)
        place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        self._sums[place] += sums
        if tile.rows != tile.columns:
            self._sums[place[::-1]] += sums.T

    def cells(self) -> NDArray[np.float64]:
        """Return the means, (cells, cells)."""
        return self._sums / np.outer(self._sizes, self._sizes)


class Panel(NamedTuple):
    """A drawn matrix and its title; `first`: it is the first of its file, and begins a row."""

    title: str
    image: RdmImage
    first: bool


def draw_rdms(out: Path, title: str, panels: Sequence[Panel]) -> None:
    """Draw the matrices to `out`, a .png, .pdf or .svg; every one has a scale of its own, from 0."""
    places = _places(panels)
    rows, columns = (max(place[axis] for place in places) + 1 for axis in (0, 1))
    with figure_file(out, columns * WIDTH + 0.2, rows * HEIGHT + 0.4) as figure:
        figure.suptitle(title, fontsize=FONT_SIZE)
        grid = figure.add_gridspec(rows, columns)
        for panel, place in zip(panels, places, strict=True):
            axes = figure.add_subplot(grid[place])
            cells = panel.image.cells()
            drawn = axes.imshow(cells, cmap="viridis", vmin=0, vmax=cells.max() or 1, interpolation="nearest")
            axes.set_title(valid_text(panel.title), fontsize=FONT_SIZE)
            axes.set_xticks([])
            axes.set_yticks([])
            figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.03).ax.tick_params(labelsize=FONT_SIZE - 1)


def _places(panels: Sequence[Panel]) -> list[tuple[int, int]]:
    """Return row and column of each panel; the first of a file begins a row."""
    places: list[tuple[int, int]] = []
    row, column = -1, COLUMNS
    for panel in panels:
        if panel.first or column == COLUMNS:
            row, column = row + 1, 0
        places.append((row, column))
        column += 1
    return places


def _starts(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where each group begins."""
    return np.flatnonzero(np.diff(groups, prepend=-1))
