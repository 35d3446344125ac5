import inspect

import pytest

from finetune import errors
from finetune.errors import FinetuneError, UsageError
from finetune.system.text import did_you_mean

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]


def test_the_tree_in_the_docstring_names_them_all() -> None:
    assert len(KINDS) >= 6
    for kind in KINDS:
        assert issubclass(kind, FinetuneError)
        assert kind.__name__ in str(errors.__doc__)


@pytest.mark.parametrize("kind", KINDS)
def test_exit_code(kind: type[FinetuneError]) -> None:
    assert kind.exit_code == (2 if kind is UsageError else 1)
    assert str(kind("what was expected")) == "what was expected"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("fc9", " (did you mean fc8?)"),
        ("Conv1", " (did you mean conv1?)"),
        ("cnov2", " (did you mean conv2?)"),
        ("inception", ""),
        ("", ""),
    ],
)
def test_did_you_mean(name: str, suggestion: str) -> None:
    known = ("conv1", "conv2", "fc8")
    assert did_you_mean(name, known) == suggestion
    assert did_you_mean(name, iter(known)) == suggestion
    assert did_you_mean(name, ()) == ""


def test_what_is_not_near_is_not_meant() -> None:
    assert did_you_mean("zebra", ("brass", "goldfish")) == ""
