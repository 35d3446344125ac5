"""What is drawn on the figures."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from finetune.explain import drawing
from finetune.explain.drawing import draw_activations, draw_explanations, draw_kernels, draw_tiles
from finetune.explain.types import Activation, Explanation
from finetune.prediction import Score


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return the list of the figures that are drawn; nothing is written."""
    drawn: list[Figure] = []

    @contextmanager
    def figure(out: Path, title: str, width: float, height: float) -> Iterator[Figure]:
        drawn.append(Figure())
        yield drawn[-1]

    monkeypatch.setattr(drawing, "_figure", figure)
    return drawn


def shown(axes: Axes) -> Any:
    """Return the pixels or values of the one image on some axes."""
    (image,) = axes.images
    return np.asarray(image.get_array())


def test_a_row_for_each_class(figures: list[Figure], tmp_path: Path) -> None:
    """The image; over it in gray Grad-CAM on a scale from 0 to 1, and occlusion on one that is symmetric."""
    image = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    drop = np.array([[0.5, 0], [0, -0.2]], np.float32)
    predicted = Explanation(Score(0, "poodle", 0.75), np.eye(2, dtype=np.float32), drop)
    chosen = Explanation(Score(1, "a name that is far too long for the title above an image", 0.25), drop, drop * 0)
    draw_explanations(tmp_path / "out.png", "", image, [predicted, chosen], "conv5")
    (figure,) = figures
    drawn, cam, occlusion, _, _, covered, *scales = figure.axes
    np.testing.assert_array_equal(shown(drawn), image)
    assert drawn.get_title() == "predicted: poodle\nprobability 0.750"
    assert figure.axes[3].get_title() == "chosen: a name that is far too long for the…\nprobability 0.250"
    assert cam.get_title() == "Grad-CAM at conv5\nas a share of its maximum"
    bright, dark = (np.array(end) for end in ((0.988, 1.0, 0.645), (0.001, 0.0, 0.014)))  # the ends of inferno
    np.testing.assert_allclose(shown(cam)[0, 0], 0.6 * bright + 0.4 / 3, atol=0.01)
    np.testing.assert_allclose(shown(cam)[0, 1], 0.6 * dark + 0.4 / 3, atol=0.01)
    limits = [(axes.get_ylim()[0], axes.get_ylim()[1]) for axes in scales]
    assert limits == [(0, 1), (-0.5, 0.5), (0, 1), (-0.01, 0.01)], "without any drop the scale is a hundredth"
    assert shown(occlusion)[0, 0, 0] > shown(occlusion)[0, 0, 2], "red where covering costs"
    assert shown(occlusion)[1, 1, 2] > shown(occlusion)[1, 1, 0], "blue where covering helps"
    assert covered.get_title() == "Occlusion: drop in probability\nwhen covered"


def test_kernels_are_a_grid_of_eight_or_twelve_columns(figures: list[Figure], tmp_path: Path) -> None:
    for count, columns in ((64, 8), (96, 12)):
        kernels = np.zeros((count, 2, 3, 3), np.float32)
        kernels[columns + 1] = 0.25  # in the second row and column
        draw_kernels(tmp_path / "out.png", kernels, "")
        axes = figures[-1].axes[0]
        grid = shown(axes)
        assert grid.shape == (8 * 3 - 1, columns * 4 - 1, 3)
        assert (grid[3:5, 4:7] == 0.25).all()
        assert (grid[2] == 1).all(), "a white line between rows"
        assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["0", str(columns)]
        assert list(axes.get_xticks())[:2] == [1, 5]


def test_activations_share_one_scale(figures: list[Figure], tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    strongest = [Activation(7, np.full((2, 2), 8, np.float32)), Activation(3, np.full((2, 2), 2, np.float32))]
    draw_activations(tmp_path / "out.png", "", image, strongest)
    drawn, first, second, *_ = figures[0].axes
    assert (first.get_title(), second.get_title()) == ("channel 7: 8", "channel 3: 2")
    assert first.images[0].get_clim() == second.images[0].get_clim() == (0, 8)
    np.testing.assert_array_equal(shown(second), strongest[1].map)
    assert drawn.get_title() == "the image as the network sees it"


def test_tiles_are_four_in_a_row(figures: list[Figure], tmp_path: Path) -> None:
    tiles = [(f"channel {number}", np.full((2, 2, 3), number, np.uint8)) for number in range(5)]
    draw_tiles(tmp_path / "out.png", "", tiles, 2)
    axes = figures[0].axes
    assert len(axes) == 8
    assert [each.get_title() for each in axes] == [*(label for label, _ in tiles), "", "", ""]
    np.testing.assert_array_equal(shown(axes[4]), tiles[4][1])
    assert not any(each.axison for each in axes), "no frame where there is no image either"


def test_dollar_signs_are_not_formulas(tmp_path: Path) -> None:
    """A class may be called `$5`; as a formula this title would be an error."""
    draw_kernels(tmp_path / "out.png", np.zeros((1, 2, 2, 3), np.float32), "$x^2_{$")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
