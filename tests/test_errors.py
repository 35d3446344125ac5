"""The family of errors: its tree, exit codes, and the length of a message."""

import inspect

import pytest

from finetune import errors
from finetune.errors import FinetuneError, InterruptionError, UsageError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]


def test_the_tree_in_the_docstring_names_them_all() -> None:
    assert len(KINDS) >= 6
    for kind in KINDS:
        assert issubclass(kind, FinetuneError)
        assert kind.__name__ in str(errors.__doc__)


@pytest.mark.parametrize("kind", KINDS)
def test_exit_code(kind: type[FinetuneError]) -> None:
    assert kind.exit_code == {UsageError: 2, InterruptionError: 130}.get(kind, 1)
    assert str(kind("what was expected")) == "what was expected"


def test_a_long_message_is_shortened() -> None:
    """A file may put its own content into it."""
    assert str(FinetuneError("x" * 999)) == "x" * 999
    assert str(FinetuneError("x" * 1000)) == "x" * 998 + "…"
