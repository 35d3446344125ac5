"""Phrases that many messages share: the nearest name, the first few of many, a share, a shape; and valid patterns."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], cutoff: float = 0.65) -> str | None:
    """Return the known name nearest to `name`, or None if none is near.

    `cutoff` is the least similarity, from 0 to 1: fc9 has 0.67 with fc8, zebra 0.6 with brass.
    """
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.65) -> str:
    """Return ` (did you mean fc8?)` for the known name `nearest` to `name`, or an empty string if none is near."""
    near = nearest(name, known, cutoff)
    return f" (did you mean {near}?)" if near else ""


def first_few(names: Sequence[str], most: int = 10, separator: str = ", ") -> str:
    """Return the first names for an error of one line, and how many more there are.

    >>> first_few(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return separator.join(names[:most]) + more


def shortened(text: str, width: int) -> str:
    """Return a text of at most `width` letters; a longer one ends with …

    >>> shortened("Labrador retriever", 10), shortened("poodle", 10)
    ('Labrador…', 'poodle')
    """
    return text if len(text) <= width else text[: width - 1].rstrip(" ,") + "…"


def image_count(count: int) -> str:
    """Return a number of images for people.

    >>> image_count(1), image_count(1200)
    ('1 image', '1,200 images')
    """
    return f"{count:,} image{'' if count == 1 else 's'}"


def percent(share: float, decimals: int = 1) -> str:
    """Return a share as text, the same everywhere.

    >>> percent(0.9833), percent(0.5, 0)
    ('98.3 %', '50 %')
    """
    return f"{100 * share:.{decimals}f} %"


def either(names: Sequence[str]) -> str:
    """Return the names for a sentence about one of them.

    >>> either([".png", ".pdf", ".svg"]), either([".h5"])
    ('.png, .pdf or .svg', '.h5')
    """
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def shape_text(shape: Iterable[int]) -> str:
    """Return a shape or a size for people.

    >>> shape_text((11, 11, 3, 96))
    '11×11×3×96'
    """
    return "×".join(map(str, shape))


def has_group(pattern: str) -> bool:
    """Return whether a text is a valid regular expression with a group.

    >>> has_group("patient([0-9]+)"), has_group("patient"), has_group("patient(")
    (True, False, False)
    """
    try:
        return re.compile(pattern).groups > 0
    except (re.error, OverflowError, RecursionError):  # OverflowError: a{99999999999}
        return False
