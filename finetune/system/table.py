"""Tables in plain text: aligned columns, never truncated or wrapped."""

from collections.abc import Iterable, Sequence


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
