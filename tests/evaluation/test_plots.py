"""What the plots draw: the data of lines and markers on their axes, and that the same data gives the same file."""

import re

import cv2
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from finetune.evaluation.plots import (
    confusion_map,
    draw_by_epoch,
    draw_confusion,
    draw_rates,
    draw_reliability,
    rate_curve,
    reliability_diagram,
    training_curves,
)

HISTORY = [
    {
        "epoch": epoch,
        "learning_rate": 0.5**epoch,
        "train_loss": 2.0 / epoch,
        "train_accuracy": 0.2 * epoch,
        "val_loss": 3.0 / epoch,
        "val_accuracy": 0.1 * epoch,
    }
    for epoch in (1, 2, 3, 4)
]
BINS = [
    {"lower": 0.3, "upper": 0.5, "images": 15, "confidence": 0.4, "accuracy": 0.2},
    {"lower": 0.5, "upper": 1.0, "images": 16, "confidence": 0.9, "accuracy": 0.75},
]


@pytest.fixture
def axes() -> Axes:
    return Figure().add_subplot()


def points(axes: Axes) -> list[list[tuple[float, float]]]:
    """Return the points of every line, in the order drawn."""
    return [[(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)] for line in axes.lines]


def test_the_dotted_line_is_at_the_kept_epoch(axes: Axes) -> None:
    draw_by_epoch(axes, HISTORY, 3, "loss", {"train_loss": "training", "val_loss": "validation"})
    kept, *_ = points(axes)
    assert [x for x, _ in kept] == [3, 3]
    assert axes.lines[0].get_linestyle() == ":"
    assert axes.get_xlabel() == "epoch (dotted: kept)"


def test_each_line_is_its_column_by_epoch(axes: Axes) -> None:
    draw_by_epoch(axes, HISTORY, 1, "accuracy, %", {"train_accuracy": "training", "val_accuracy": "validation"}, 100)
    _, training, validation = points(axes)
    assert training == [(1, 20), (2, 40), (3, pytest.approx(60)), (4, 80)]
    assert validation == [(1, 10), (2, 20), (3, pytest.approx(30)), (4, 40)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "validation"]
    assert len({line.get_color() for line in axes.lines}) == 3


def test_one_line_needs_no_legend(axes: Axes) -> None:
    draw_by_epoch(axes, HISTORY, 1, "learning rate", {"learning_rate": ""})
    assert axes.get_legend() is None


def test_the_curves_are_those_of_loss_accuracy_and_learning_rate() -> None:
    curves = training_curves(HISTORY, 2)
    assert [description for description, _ in curves] == [
        "loss by epoch: training 2 to 0.5; validation 3 to 0.75",
        "accuracy, % by epoch: training 20 to 80; validation 10 to 40",
        "learning rate by epoch: 0.5 to 0.0625",
    ]
    expected = (
        ("loss", {"train_loss": "training", "val_loss": "validation"}, 1),
        ("accuracy, %", {"train_accuracy": "training", "val_accuracy": "validation"}, 100),
        ("learning rate", {"learning_rate": ""}, 1),
    )
    for (_, plot), (title, lines, scale) in zip(curves, expected, strict=True):
        assert f">{title}</text>" in plot
        axes = Figure().add_subplot()
        draw_by_epoch(axes, HISTORY, 2, title, lines, scale)
        assert heights(plot, 4 * len(lines)) == pytest.approx(relative(axes), abs=0.01)


def test_reliability_is_accuracy_over_confidence(axes: Axes) -> None:
    draw_reliability(axes, BINS, "as used")
    ideal, drawn = points(axes)[:2]
    assert ideal == [(0, 0), (100, 100)]
    assert drawn == [(pytest.approx(40), pytest.approx(20)), (pytest.approx(90), pytest.approx(75))]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("confidence, %", "accuracy, %", "as used")


def test_the_bars_of_reliability_are_wilson_intervals(axes: Axes) -> None:
    """Of 16 images 12 are right: (12 + z² / 2 ± z √(12 · 4 / 16 + z² / 4)) / (16 + z²) with z = 1.96."""
    draw_reliability(axes, BINS, "")
    (bars,) = (container for container in axes.containers if isinstance(container, ErrorbarContainer))
    (_, low), (_, high) = bars.lines[2][0].get_segments()[1]
    z = 1.959964
    middle, half = 12 + z**2 / 2, z * (12 * 4 / 16 + z**2 / 4) ** 0.5
    assert (low, high) == pytest.approx((100 * (middle - half) / (16 + z**2), 100 * (middle + half) / (16 + z**2)))
    assert axes.get_legend().get_texts()[1].get_text() == "15 to 16 images each"


def test_a_single_bin_says_how_many_images_it_has(axes: Axes) -> None:
    draw_reliability(axes, BINS[:1], "")
    assert axes.get_legend().get_texts()[1].get_text() == "15 images each"


def test_confusion_is_shares_of_rows(axes: Axes) -> None:
    draw_confusion(axes, [[3, 1], [0, 0]])
    (drawn,) = axes.images
    np.testing.assert_array_equal(np.asarray(drawn.get_array()), [[0.75, 0.25], [0, 0]])
    assert drawn.get_clim() == (0, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


def test_the_suggested_rate_is_marked(axes: Axes) -> None:
    draw_rates(axes, [0.001, 0.01, 0.1], [3, 2, 5], 0.01)
    losses, suggested = points(axes)
    assert losses == [(0.001, 3), (0.01, 2), (0.1, 5)]
    assert [x for x, _ in suggested] == [0.01, 0.01]
    assert axes.get_legend().get_texts()[0].get_text() == "suggested: 0.01"
    assert axes.get_xscale() == "log"


def test_without_a_suggestion_nothing_is_marked(axes: Axes) -> None:
    draw_rates(axes, [0.001, 0.01], [3, 2], None)
    assert len(axes.lines) == 1
    assert axes.get_legend() is None


def test_a_plot_is_drawn_in_the_colours_of_the_page() -> None:
    """The only fixed colours are those of the cells of the confusion matrix, an image that is transparent elsewhere."""
    plots = [*training_curves(HISTORY, 2), reliability_diagram(BINS, "as used"), ("", confusion_map([[1, 2], [3, 4]]))]
    for _, plot in plots:
        assert plot.startswith("<svg ")
        assert not re.search(r"(?:fill|stroke): #", plot)
        assert "fill: currentColor" in plot
    ids = [name for _, plot in plots for name in re.findall(r' id="([^"]+)"', plot)]
    assert len(ids) == len(set(ids))


def test_the_words_for_a_reliability_diagram() -> None:
    description, _ = reliability_diagram(BINS, "as used")
    assert description == "accuracy by confidence, as used: 20 % at 40 %; 75 % at 90 %"


def test_the_same_data_gives_the_same_file() -> None:
    assert training_curves(HISTORY, 2) == training_curves(HISTORY, 2)
    assert reliability_diagram(BINS, "x") == reliability_diagram(BINS, "x")
    assert confusion_map([[1, 2], [3, 4]]) == confusion_map([[1, 2], [3, 4]])
    assert rate_curve([0.1, 1], [2, 3], 0.1) == rate_curve([0.1, 1], [2, 3], 0.1)


def test_rate_curve_is_a_png_of_840_by_600_pixels() -> None:
    image = cv2.imdecode(np.frombuffer(rate_curve([0.1, 1], [2, 3], 0.1), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (600, 840, 3)


def heights(plot: str, count: int) -> list[float]:
    """Return where the first `count` markers of an SVG are between the lowest, 0, and the highest, 1."""
    marker = r'<use xlink:href="#\w+" x="[\d.]+" y="([\d.]+)" style="fill: var\(--(?:accent|second)\)'
    ys = [float(y) for y in re.findall(marker, plot)][:count]  # those of the legend come last
    return [(max(ys) - y) / (max(ys) - min(ys)) for y in ys]


def relative(axes: Axes) -> list[float]:
    """Return the values of the lines on some axes between the lowest, 0, and the highest, 1."""
    values = [y for line in points(axes)[1:] for _, y in line]
    return [(y - min(values)) / (max(values) - min(values)) for y in values]
