"""Ranges of options: which values they may have, and the words for them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from finetune.system.text import has_group


class Range(NamedTuple):
    """The values that an option may have, and the words for them in an error."""

    holds: Callable[[Any], bool]
    words: str


def at_least(low: int) -> Range:
    """Return the range of the numbers from `low` on."""
    return Range(lambda value: value >= low, f"must be {low} or more")


POSITIVE = Range(lambda value: 0 < value < float("inf"), "must be a number above 0")
BELOW_ONE = Range(lambda value: 0 <= value < 1, "must be 0 or more and below 1")
BETWEEN = Range(lambda value: 0 < value < 1, "must be above 0 and below 1")
STRENGTH = Range(lambda value: 0 <= value <= 1, "must be from 0 to 1")
FINITE = Range(lambda value: 0 <= value < float("inf"), "must be 0 or more")
GROUP_BY = Range(
    lambda value: value == "parent" or has_group(value),
    r"must be parent or a valid regular expression with a group, such as 'patient(\d+)'",
)
SEED = Range(lambda value: 0 <= value < 2**31, "must be a whole number from 0 to 2147483647")
