"""The plots of the report, each an SVG as a data: URI. No name of a class or file is drawn: the page writes those.

matplotlib is imported in here only, and only the part that draws to a file: no window, no pyplot.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.metrics import wilson_interval
from finetune.system.quiet import import_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 4.2, 3.0  # inches of 96 pixels: one fits a telephone, three a laptop, the letters hardly scaled
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "finetune",  # equal runs give equal pages
    "svg.fonttype": "none",  # letters stay letters: outlines took a third of the time and most of the page
}
_TALLER = 3.6  # inches: room for a legend below the axes
_MARGINS = 0.17, 0.17, 0.97, 0.9  # left, bottom, right, top, in shares of the figure
_TRAINING, _VALIDATION = "#1f77b4", "#d95f02"  # told apart by the colour-blind


def training_curves(history: Sequence[Mapping[str, Any]], best_epoch: int) -> list[tuple[str, str]]:
    """Return (description, plot) of loss, accuracy and learning rate by epoch; the best epoch is marked."""
    epochs = [row["epoch"] for row in history]

    def curves(title: str, lines: Mapping[str, str], scale: float = 1) -> Callable[["Axes"], None]:
        def draw(axes: "Axes") -> None:
            from matplotlib.ticker import MaxNLocator

            axes.axvline(best_epoch, color="#888888", linestyle=":")
            for (column, label), color in zip(lines.items(), (_TRAINING, _VALIDATION), strict=False):
                axes.plot(
                    epochs, [scale * row[column] for row in history], color=color, label=label, marker="o", ms=2.5
                )
            axes.set(title=title, xlabel="epoch (dotted: the best)")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if len(lines) > 1:
                axes.legend()

        return draw

    both = ("training", "validation")
    return [
        ("loss by epoch", _svg(curves("loss", dict(zip(("train_loss", "val_loss"), both, strict=True))))),
        (
            "accuracy by epoch",
            _svg(curves("accuracy, %", dict(zip(("train_accuracy", "val_accuracy"), both, strict=True)), scale=100)),
        ),
        ("learning rate by epoch", _svg(curves("learning rate", {"learning_rate": ""}))),
    ]


def reliability_diagram(bins: Sequence[Mapping[str, Any]], title: str) -> str:
    """Return the plot of the share that is right by mean confidence: a point a bin, with its 95 % interval."""
    confidences = [100 * bin["confidence"] for bin in bins]
    accuracies = [100 * bin["accuracy"] for bin in bins]
    intervals = [wilson_interval(round(bin["accuracy"] * bin["images"]), bin["images"]) for bin in bins]
    below = [right - 100 * interval.low for right, interval in zip(accuracies, intervals, strict=True)]
    above = [100 * interval.high - right for right, interval in zip(accuracies, intervals, strict=True)]
    images = sorted({bin["images"] for bin in bins})
    each = str(images[0]) if len(images) == 1 else f"{images[0]} to {images[-1]}"

    def draw(axes: "Axes") -> None:
        axes.plot([0, 100], [0, 100], color="#555555", linestyle="--", label="ideal")
        axes.errorbar(confidences, accuracies, (below, above), fmt="o", color=_TRAINING, label=f"{each} pictures each")
        axes.set(title=title, xlabel="confidence, %", ylabel="right, %", xlim=(0, 102), ylim=(0, 102))
        axes.figure.subplots_adjust(bottom=0.3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)  # below: no point lies there

    return _svg(draw, height=_TALLER)


def confusion_map(confusion: Sequence[Sequence[int]]) -> str:
    """Return the picture of a large confusion matrix: each row's shares, dark is all."""
    counts = np.array(confusion, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def draw(axes: "Axes") -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        axes.grid(visible=False)
        axes.set(xlabel="predicted class", ylabel="true class")

    return _svg(draw, height=WIDTH)


def _svg(draw: Callable[["Axes"], None], height: float = HEIGHT) -> str:
    import_matplotlib()
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", _STYLE]):  # whatever matplotlibrc the user has
        figure = Figure(figsize=(WIDTH, height))
        figure.subplots_adjust(*_MARGINS)  # no layout to find: that would draw everything twice
        draw(figure.add_subplot())
        content = BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(content.getvalue()).decode()}"


def rate_curve(rates: Sequence[float], losses: Sequence[float], suggestion: float | None) -> bytes:
    """Return a PNG of the loss by learning rate, with the suggested one marked if there is one."""
    import_matplotlib()
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=(2 * WIDTH, 2 * HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(rates, losses, color=_TRAINING)
        if suggestion is not None:
            axes.axvline(suggestion, color=_VALIDATION, linestyle="--", label=f"suggested: {suggestion:.2g}")
            axes.legend()
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed", title="learning rate range test")
        content = BytesIO()
        figure.savefig(content, format="png", dpi=100, metadata={"Software": None})
    return content.getvalue()
