"""`finetune help COMMAND` shows what `finetune COMMAND --help` does."""

from collections.abc import Callable

import pytest

Finetune = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("words", [(), ("train",), ("weights",), ("weights", "list"), ("help",)])
def test_the_same_as_the_option(finetune: Finetune, words: tuple[str, ...]) -> None:
    shown = finetune("help", *words)
    assert shown == finetune(*words, "--help")
    assert shown[0] == 0
    assert shown[1].startswith(f"Usage: {' '.join(('finetune', *words))} [OPTIONS]")


def test_a_command_has_no_commands(finetune: Finetune) -> None:
    assert finetune("help", "weights", "list", "all") == (
        2, "", "finetune: error: finetune weights list has no commands, but 'all' was given; omit it\n",
    )  # fmt: skip
