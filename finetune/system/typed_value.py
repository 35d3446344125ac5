"""Values of options from JSON or TOML, with the types of the fields that hold them."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from finetune.errors import UsageError


def typed_value(option: str, value: Any, kind: Any) -> Any:
    """Return a value from JSON or TOML with the type `kind`; raise UsageError, which names the option, if it cannot."""
    choices = getattr(kind, "__args__", (kind,))  # of a union; of a plain type, itself
    wanted = [arg for choice in choices for arg in getattr(choice, "__args__", (choice,))]
    words = [str(arg) for arg in wanted if isinstance(arg, str)]
    if value is None and type(None) in wanted:
        return None
    if Path in wanted and isinstance(value, str | Path):
        return Path(value)
    if str in wanted and Ellipsis in wanted:  # tuple[str, ...]
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(item, str | int | float) for item in items):
            return split_names(map(str, items))
    elif isinstance(value, bool):
        if bool in wanted:
            return value
    elif isinstance(value, str) and float in wanted and words and value not in words:
        with suppress(ValueError):  # from the command line, an option that is a number or a word
            return float(value)
    elif isinstance(value, int | float) and float in wanted:
        with suppress(OverflowError):  # an integer of more than 308 digits
            return float(value)
    elif value in wanted or (type(value) in wanted and type(value) in (int, str)):
        return value
    words += [arg.__name__ for arg in wanted if isinstance(arg, type) and arg is not type(None)]
    raise UsageError(f"{option} is {value!r}; expected {' or '.join(words)}")


def split_names(values: Iterable[str]) -> tuple[str, ...]:
    """Return all names in texts that each hold one or more, separated by commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())
