"""The plots of the report and of the learning rate test. No name of a class or file is drawn: the page writes those.

Those of the report are SVG elements in the colours of the page, light or dark. Each `draw_…` function draws on axes
that it is given. matplotlib is imported when something is drawn, and only the part that draws to a file: no window, no
pyplot.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from finetune.metrics import wilson_interval
from finetune.system.quiet import import_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 3.9, 2.9  # inches of 96 pixels: one fits a phone, three a laptop, and letters are hardly scaled
_NO_FACTS = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # about the file, which matplotlib would write into it
_MAP_SIDE = 6.0  # inches, of a large confusion matrix
_MAP_DPI = 144  # its cells are pixels of an image, which an SVG holds at 72 per inch otherwise
_TALLER = 3.3  # inches: room for a legend below the axes
_MARGINS = 0.17, 0.17, 0.98, 0.9  # left, bottom, right, top, in fractions of the figure
_INK, _TRAINING, _VALIDATION = "#57606b", "#1767ad", "#b9500a"  # colour-blind people can distinguish them
_NAMED = {_INK: "currentColor", _TRAINING: "var(--accent)", _VALIDATION: "var(--second)"}  # as in page.css
_STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _INK,
    "grid.alpha": 0.2,
    "axes.axisbelow": True,
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
    "svg.fonttype": "none",  # text stays text: outlines took a third of the time and most of the page
}


def training_curves(history: Sequence[Mapping[str, Any]], kept_epoch: int) -> list[tuple[str, Markup]]:
    """Return (description, SVG) of loss, accuracy and learning rate by epoch; the kept epoch is marked."""
    plots = (
        ("loss", {"train_loss": "training", "val_loss": "validation"}, 1),
        ("accuracy, %", {"train_accuracy": "training", "val_accuracy": "validation"}, 100),
        ("learning rate", {"learning_rate": ""}, 1),
    )
    curves = []
    for title, lines, scale in plots:
        ends = [
            f"{label} {scale * history[0][column]:.3g} to {scale * history[-1][column]:.3g}".strip()
            for column, label in lines.items()
        ]
        with _axes() as axes:
            draw_by_epoch(axes, history, kept_epoch, title, lines, scale)
            curves.append((f"{title} by epoch: {'; '.join(ends)}", _svg(axes)))
    return curves


def draw_by_epoch(
    axes: "Axes",
    history: Sequence[Mapping[str, Any]],
    kept_epoch: int,
    title: str,
    lines: Mapping[str, str],
    scale: float = 1,
) -> None:
    """Draw columns of the history, times `scale`, by epoch. `lines`: column -> label in the legend."""
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in history]
    axes.axvline(kept_epoch, color=_INK, linestyle=":")
    for (column, label), color in zip(lines.items(), (_TRAINING, _VALIDATION), strict=False):
        values = [scale * row[column] for row in history]
        axes.plot(epochs, values, color=color, label=label, marker="o", ms=2.5)
    axes.set(title=title, xlabel="epoch (dotted: kept)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(lines) > 1:
        axes.legend()


def reliability_diagram(bins: Sequence[Mapping[str, Any]], title: str) -> tuple[str, Markup]:
    """Return (description, SVG) of `draw_reliability`."""
    points = "; ".join(f"{100 * bin['accuracy']:.0f} % at {100 * bin['confidence']:.0f} %" for bin in bins)
    with _axes(height=_TALLER) as axes:
        draw_reliability(axes, bins, title)
        return f"accuracy by confidence, {title}: {points}", _svg(axes)


def draw_reliability(axes: "Axes", bins: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draw the accuracy of each bin over its mean confidence, both in percent, with its 95 % interval."""
    confidences = [100 * bin["confidence"] for bin in bins]
    accuracies = [100 * bin["accuracy"] for bin in bins]
    intervals = [wilson_interval(round(bin["accuracy"] * bin["images"]), bin["images"]) for bin in bins]
    below = [right - 100 * interval.low for right, interval in zip(accuracies, intervals, strict=True)]
    above = [100 * interval.high - right for right, interval in zip(accuracies, intervals, strict=True)]
    images = sorted({bin["images"] for bin in bins})
    each = str(images[0]) if len(images) == 1 else f"{images[0]} to {images[-1]}"
    axes.plot([0, 100], [0, 100], color=_INK, linestyle="--", label="ideal")
    axes.errorbar(confidences, accuracies, (below, above), fmt="o", color=_TRAINING, label=f"{each} images each")
    axes.set(title=title, xlabel="confidence, %", ylabel="accuracy, %", xlim=(0, 102), ylim=(0, 102))
    axes.figure.subplots_adjust(bottom=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)  # below the axes, where it hides no point


def confusion_map(confusion: Sequence[Sequence[int]]) -> Markup:
    """Return the SVG of `draw_confusion`."""
    with _axes(_MAP_SIDE, _MAP_SIDE) as axes:
        draw_confusion(axes, confusion)
        return _svg(axes)


def draw_confusion(axes: "Axes", confusion: Sequence[Sequence[int]]) -> None:
    """Draw a large confusion matrix: the share of each row in every column, opaque for all of it."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    ends = [to_rgba(_TRAINING, 0), to_rgba(_TRAINING)]  # from transparent, for a light and a dark page
    colours = LinearSegmentedColormap.from_list("shares", ends)
    counts = np.array(confusion, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    axes.grid(visible=False)
    axes.set(xlabel="predicted class", ylabel="true class")


def rate_curve(rates: Sequence[float], losses: Sequence[float], suggestion: float | None) -> bytes:
    """Return the PNG of `draw_rates`."""
    with _axes(8.4, 6.0, layout="constrained") as axes:
        draw_rates(axes, rates, losses, suggestion)
        return _saved(axes, format="png", dpi=100, metadata={"Software": None})


def draw_rates(axes: "Axes", rates: Sequence[float], losses: Sequence[float], suggestion: float | None) -> None:
    """Draw the loss by learning rate, and mark the suggested rate if there is one."""
    axes.plot(rates, losses, color=_TRAINING)
    if suggestion is not None:
        axes.axvline(suggestion, color=_VALIDATION, linestyle="--", label=f"suggested: {suggestion:.2g}")
        axes.legend()
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed", title="learning rate range test")


@contextmanager
def _axes(width: float = WIDTH, height: float = HEIGHT, layout: str | None = None) -> Iterator["Axes"]:
    """Yield the axes of a new figure in the report's style, whatever matplotlibrc the user has; save it inside."""
    import_matplotlib()
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]
        if layout is None:
            figure.subplots_adjust(*_MARGINS)  # fixed: computing a layout would draw everything twice
        yield figure.add_subplot()


def _svg(axes: "Axes") -> Markup:
    """Return the figure of the axes as an SVG element without a background, in the colours of the page."""
    import matplotlib as mpl

    salt = f"finetune {axes.get_title('left')}"  # equal runs give equal pages, and no two plots of a page share an id
    with mpl.rc_context({"svg.hashsalt": salt}):
        drawn = _saved(axes, format="svg", transparent=True, dpi=_MAP_DPI, metadata=_NO_FACTS).decode()
    element = re.sub(r' xmlns(:\w+)?="[^"]*"|(?<=<g) id="[^"]*"', "", drawn[drawn.index("<svg") :])  # for use in HTML
    for color, name in _NAMED.items():
        element = element.replace(color, name)
    return Markup(element)  # markup by matplotlib, which escapes what it writes


def _saved(axes: "Axes", **options: Any) -> bytes:
    content = BytesIO()
    axes.get_figure().savefig(content, **options)  # type: ignore[union-attr]
    return content.getvalue()
