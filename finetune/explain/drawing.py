"""The figures of `finetune explain` and `finetune filters`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finetune.data.channels import Image
from finetune.data.class_name import valid_text
from finetune.explain.types import Activation, Explanation
from finetune.system.figure_file import figure_file
from finetune.system.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE = 3.4  # inches of an image with its title
_TITLE_LETTER = 0.11  # inches
_OPACITY = 0.6  # of a map over the image
_LEAST_DROP = 0.01  # of the colour scale: a change of less than a point of probability gets no strong colours


def draw_explanations(out: Path, title: str, image: Image, explanations: Sequence[Explanation], layer: str) -> None:
    """Write a row per class, the predicted one first: the image (size, size, 3) in RGB, Grad-CAM, occlusion."""
    with _figure(out, title, 3.5 * _SIDE, len(explanations) * _SIDE + 0.3) as figure:
        rows = figure.subplots(len(explanations), 3, squeeze=False)
        for axes, explanation, meaning in zip(rows, explanations, ("predicted", "chosen"), strict=False):
            score = explanation.score
            _show(axes[0], image, f"{meaning}: {shortened(score.label, 36)}\nprobability {score.probability:.3f}")
            cam_title = f"Grad-CAM at {layer}\nas a share of its maximum"
            _overlay(axes[1], image, explanation.grad_cam, "inferno", (0, 1), cam_title)
            largest = max(_LEAST_DROP, float(abs(explanation.occlusion).max()))
            drop_title = "Occlusion: drop in probability\nwhen covered"
            _overlay(axes[2], image, explanation.occlusion, "RdBu_r", (-largest, largest), drop_title)


def draw_kernels(out: Path, kernels: NDArray[np.float32], title: str) -> None:
    """Write kernels, (kernels, height, width, 3) RGB from 0 to 1, as a grid; a kernel's index is row + column label."""
    count, height, width, _ = kernels.shape
    columns = 12 if count > 64 else 8  # 96 are 8 × 12, 64 are 8 × 8
    rows = -(-count // columns)
    grid = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), np.float32)  # a white line between them
    for number, kernel in enumerate(kernels):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        grid[top : top + height, left : left + width] = kernel
    with _figure(out, f"{title}, each scaled to its own range", 0.62 * columns + 0.6, 0.62 * rows + 0.8) as figure:
        axes = figure.add_subplot()
        axes.imshow(grid, interpolation="nearest")
        axes.set_xticks(np.arange(columns) * (width + 1) + (width - 1) / 2, list(map(str, range(columns))))
        axes.set_yticks(
            np.arange(rows) * (height + 1) + (height - 1) / 2, list(map(str, range(0, rows * columns, columns)))
        )
        axes.tick_params(length=0, labelsize=8)
        axes.set_xlabel("a kernel's index is its row label plus its column label")
        axes.spines[:].set_visible(False)


def draw_activations(out: Path, title: str, image: Image, strongest: Sequence[Activation]) -> None:
    """Write the image and next to it the maps, all on one scale from 0, each with its channel and largest value."""
    columns = min(4, len(strongest))
    rows = -(-len(strongest) // columns)
    with _figure(out, title, _SIDE + 1.7 * columns + 0.6, max(_SIDE, 1.9 * rows) + 0.3) as figure:
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(_SIDE, 1.7 * columns + 0.6))[0]
        _show(left.add_subplot(), image, "the image as the network sees it")
        all_axes = right.subplots(rows, columns, squeeze=False).ravel()
        largest = max(float(strongest[0].map.max()), np.finfo(np.float32).tiny)
        for axes in all_axes:
            axes.set_axis_off()
        for axes, (channel, values) in zip(all_axes, strongest, strict=False):
            drawn = axes.imshow(values, cmap="viridis", vmin=0, vmax=largest, interpolation="nearest")
            axes.set_title(f"channel {channel}: {values.max():.4g}")
        right.colorbar(drawn, ax=list(all_axes), shrink=0.6, label="activation")


def draw_tiles(out: Path, title: str, tiles: Sequence[tuple[str, Image]], side: float) -> None:
    """Write images, (height, width, 3) uint8 RGB with their labels, four in a row, each `side` inches wide."""
    columns = min(4, len(tiles))
    rows = -(-len(tiles) // columns)
    width = max(columns * (side + 0.2), _TITLE_LETTER * len(title))
    with _figure(out, title, width, rows * (side + 0.4) + 0.3) as figure:
        all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in all_axes:
            axes.set_axis_off()
        for axes, (label, image) in zip(all_axes, tiles, strict=False):
            _show(axes, image, label)


def _show(axes: "Axes", image: Image, title: str) -> None:
    axes.imshow(image)
    axes.set_title(title)
    axes.set_axis_off()


def _overlay(
    axes: "Axes", image: Image, values: NDArray[np.float32], colors: str, limits: tuple[float, float], title: str
) -> None:
    """Draw a map over the image in gray, with its colour scale on the right."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(*limits), colors)
    gray = image.mean(axis=2, keepdims=True) / 255
    _show(axes, (1 - _OPACITY) * gray + _OPACITY * scale.to_rgba(values)[..., :3], title)
    axes.figure.colorbar(scale, ax=axes, fraction=0.046, pad=0.03)


@contextmanager
def _figure(out: Path, title: str, width: float, height: float) -> Iterator["Figure"]:
    """Yield a figure of `width` × `height` inches with a title, which is written to `out`."""
    with figure_file(out, width, height) as figure:
        figure.suptitle(shortened(valid_text(title), 90))
        yield figure
