"""Tables in plain text: aligned columns, never truncated or wrapped."""

from collections.abc import Iterable, Sequence
from math import floor, log10


def numbers(values: Sequence[float]) -> list[str]:
    """Return numbers with equally many decimals: four digits of the largest, so that their points are aligned.

    >>> numbers([74.93, 8.4]), numbers([0.01234])
    (['74.93', '8.40'], ['0.01234'])
    """
    largest = max(map(abs, values), default=0.0)
    decimals = min(max(0, 3 - floor(log10(largest))), 9) if 0 < largest < float("inf") else 0
    return [f"{value:.{decimals}f}" for value in values]


def table(align: str, rows: Iterable[Sequence[str]]) -> str:
    """Return the rows as lines of aligned columns; `align` has `l` or `r` for each column.

    >>> print(table("lr", [("fc6", "37,752,832"), ("total", "60,965,224")]))
    fc6    37,752,832
    total  60,965,224
    """
    rows = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    pad = {"l": str.ljust, "r": str.rjust}
    return "\n".join(
        "  ".join(pad[letter](cell, width) for letter, cell, width in zip(align, row, widths, strict=True)).rstrip()
        for row in rows
    )
