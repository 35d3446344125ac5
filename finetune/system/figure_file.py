"""Figures as PNG, PDF or SVG files, by the ending of the name, with the same bytes every time.

matplotlib is imported only when something is drawn, and only the part that draws to a file. In a PDF or SVG, letters
and lines are vectors and letters stay text; pixels are an image of VECTOR_DPI.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.system.atomic import replacing
from finetune.system.quiet import import_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG_DPI, VECTOR_DPI = 120, 300  # of a screen, and of print
# What matplotlib would write into a file about itself and the time.
_NO_FACTS: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    ".svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
}
FIGURE_ENDINGS = tuple(_NO_FACTS)
_STYLE = {
    "font.size": 10,
    "axes.titlesize": 10,
    "figure.constrained_layout.w_pad": 0.1,  # inches
    "figure.constrained_layout.h_pad": 0.1,
    "text.parse_math": False,  # a class may be called $5
    "pdf.fonttype": 42,  # TrueType, as journals demand
    "svg.fonttype": "none",
    "svg.hashsalt": "finetune",
}


@contextmanager
def figure_file(out: Path, width: float, height: float) -> Iterator["Figure"]:
    """Yield a figure of `width` × `height` inches and write it to `out`, whole, unless the block raises."""
    import_matplotlib()
    import matplotlib.style
    from matplotlib.figure import Figure

    kind = out.suffix.lower()
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():  # whatever matplotlibrc the user has
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box is drawn then; the terminal shows the name
        figure = Figure(figsize=(width, height), dpi=PNG_DPI, layout="constrained")
        yield figure
        dpi = PNG_DPI if kind == ".png" else VECTOR_DPI
        with replacing(out) as temporary:
            figure.savefig(temporary, format=kind[1:], dpi=dpi, metadata=_NO_FACTS[kind])
