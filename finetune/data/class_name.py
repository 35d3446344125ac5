"""Names of classes and groups: valid text, written in one way, so that every program can store and match them."""

import logging
import re
from collections.abc import Iterable
from unicodedata import normalize

from finetune.errors import DataError

logger = logging.getLogger(__name__)

_SURROGATE = re.compile("[\ud800-\udfff]")  # in Python's text, a byte that is not UTF-8; no encoder takes it


def class_name(text: str) -> str:
    """Return the name of a class or group: `valid_text`, composed (NFC, unlike macOS), without blanks around it."""
    return normalize("NFC", valid_text(text)).strip()


def valid_text(text: str) -> str:
    r"""Return a text that can be encoded: bytes that are not UTF-8 appear as backslash escapes.

    >>> print(valid_text("fourmi \udce9"))
    fourmi \xe9
    """
    return _SURROGATE.sub(lambda found: ascii(found[0])[1:-1].replace("udc", "x"), text)


def is_valid_text(text: str) -> bool:
    """Return whether a text can be encoded as it is."""
    return not _SURROGATE.search(text)


def checked_names(data: object, given: Iterable[str]) -> dict[str, str]:
    """Return given name -> `class_name`; warn of a class that `data` writes in several ways.

    Raises DataError for a name of blanks only, or with a line break, which classes.txt cannot hold.
    """
    names = {each: class_name(each) for each in given}
    spellings: dict[str, list[str]] = {}
    for each, name in names.items():
        if not name:
            raise DataError(f"{data} has a class without a name, {each!r}; rename it")
        if len(name.splitlines()) > 1:
            raise DataError(f"class {name!r} has a line break in its name, which classes.txt cannot hold; rename it")
        spellings.setdefault(name, []).append(each)
    for name, same in spellings.items():
        if len(same) > 1:
            logger.warning("%s: class %s is one class, written as %s", data, name, ", ".join(map(ascii, sorted(same))))
    return names
