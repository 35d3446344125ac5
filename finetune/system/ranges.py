"""Ranges of options: which values they may have, and the words for them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from finetune.choices import AS_TRAINED, MEAN_OF_DATA, NO_MEAN
from finetune.system.text import has_group


class Range(NamedTuple):
    """The values that an option may have, and the words for them in an error."""

    holds: Callable[[Any], bool]
    words: str


def at_least(low: int) -> Range:
    """Return the range of the numbers from `low` on."""
    return Range(lambda value: value >= low, f"must be {low} or more")


def pixel_values(text: str) -> tuple[float, ...] | None:
    """Return the numbers from 0 to 255 in a text, one or three, separated by commas; None for any other text."""
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        return None
    return numbers if len(numbers) in (1, 3) and all(0 <= number <= 255 for number in numbers) else None


POSITIVE = Range(lambda value: 0 < value < float("inf"), "must be a number above 0")
BELOW_ONE = Range(lambda value: 0 <= value < 1, "must be 0 or more and below 1")
BETWEEN = Range(lambda value: 0 < value < 1, "must be above 0 and below 1")
STRENGTH = Range(lambda value: 0 <= value <= 1, "must be from 0 to 1")
LIGHTING = Range(lambda value: value == "paper" or 0 <= value <= 1, "must be from 0 to 1, or paper")
FINITE = Range(lambda value: 0 <= value < float("inf"), "must be 0 or more")
GROUP_BY = Range(
    lambda value: value == "parent" or has_group(value),
    r"must be parent or a valid regular expression with a group, such as 'patient(\d+)'",
)
MEAN = Range(
    lambda value: value in (AS_TRAINED, NO_MEAN) or pixel_values(value) is not None,
    "must be weights, none, or numbers from 0 to 255 for blue, green and red, such as 104,117,123",
)
MEAN_TO_TRAIN = Range(
    lambda value: value == MEAN_OF_DATA or MEAN.holds(value), MEAN.words.replace("none,", "none, data,")
)
SEED = Range(lambda value: 0 <= value < 2**31, "must be a whole number from 0 to 2147483647")
