"""Text from weights files, made safe for a message of one line: printable ASCII, and never long."""

from collections.abc import Iterable

from finetune.system.text import first_few

_MOST = 12  # names in a message
_LONGEST_NAME = 60  # characters
_LONGEST_REASON = 120  # characters; some errors of libraries quote a whole header


def shown(name: str) -> str:
    """Return a name from a file, escaped and at most 60 characters long before that.

    >>> shown("conv1\\n")
    'conv1\\\\n'
    """
    return ascii(name[:_LONGEST_NAME])[1:-1]


def listed(names: Iterable[str]) -> str:
    """Return the first 12 names from a file, each as `shown` returns it, and how many more there are."""
    return first_few([shown(name) for name in names], _MOST)


def reason(error: Exception) -> str:
    """Return the text of an error that a library raised about a file, which may quote the file, as one short line."""
    return " ".join(ascii(str(error))[1:-1].split())[:_LONGEST_REASON]
