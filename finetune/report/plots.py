"""The plots of the report, each an SVG as a data: URI. No name of a class or file is drawn: the page writes those.

matplotlib is imported in here only, and only the part that draws to a file: no window, no pyplot.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

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
_MARGINS = 0.17, 0.17, 0.97, 0.9  # left, bottom, right, top, in shares of the figure
_TRAINING, _VALIDATION = "#1f77b4", "#d95f02"  # told apart by the colour-blind


def training_curves(history: Sequence[Mapping[str, Any]], best_epoch: int) -> list[tuple[str, str]]:
    """Return (description, plot) of loss, accuracy and learning rate by epoch; the best epoch is marked."""
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in history]

    def curves(title: str, lines: Mapping[str, str], scale: float = 1) -> Callable[["Axes"], None]:
        def draw(axes: "Axes") -> None:
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
    """Return the plot of the share that is right by confidence; how many images a bar stands for is written on it."""
    filled = [bin for bin in bins if bin["images"]]
    centres = [50 * (bin["lower"] + bin["upper"]) for bin in filled]

    def draw(axes: "Axes") -> None:
        accuracies = [100 * bin["accuracy"] for bin in filled]
        axes.bar(centres, accuracies, 90 / len(bins), color="#9ecae1", label="right (of so many)")
        axes.plot([0, 100], [0, 100], color="#555555", linestyle="--", label="ideal")
        for bin, centre in zip(filled, centres, strict=True):
            axes.text(centre, 2, str(bin["images"]), rotation=90, ha="center", va="bottom", fontsize=8)
        axes.set(title=title, xlabel="confidence, %", ylabel="right, %", xlim=(0, 100), ylim=(0, 102))
        axes.legend(loc="upper left", frameon=True)

    return _svg(draw)


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
