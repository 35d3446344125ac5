"""The help of every command: sections, names of values, whole summaries at any width, no colours in a pipe."""

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from typer.main import get_command

from finetune.cli.app import app
from finetune.system.option import PANELS

Finetune = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
@pytest.mark.parametrize("group", [(), ("weights",)])
def test_summaries_are_whole(
    finetune: Finetune, monkeypatch: pytest.MonkeyPatch, columns: int, group: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = finetune(*group, "--help")[1]
    assert max(map(len, out.splitlines())) <= columns
    assert "..." not in out.partition("Commands:")[2]
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    for word in group:
        commands = commands[word].commands
    words = " ".join(out.split())
    for name, command in commands.items():
        assert " ".join([name, command.help.partition("\n\n")[0]]) in words
        if columns == 80:
            assert re.search(rf"^  {name} +.*\.$", out, re.MULTILINE), "one line each at 80 columns"


def test_the_help_of_train_has_sections(finetune: Finetune) -> None:
    out = finetune("train", "--help")[1]
    headings = re.findall(r"^(\w.*):$", out, re.MULTILINE)
    assert headings == [*PANELS, "Options", "Examples"]
    sections = dict(zip(headings, re.split(r"^\w.*:\n", out, flags=re.MULTILINE)[1:], strict=True))
    options = ("--data DIR", "--skip LAYERS", "--learning-rate RATE", "--views N", "--resume RUN", "-v, --verbose")
    for section, option in zip(headings[:-1], options, strict=True):
        assert f"  {option}" in sections[section]


def test_values_have_names_and_not_types(finetune: Finetune) -> None:
    """Only the choices of an option are in angle brackets."""

    def check(command: Any, words: tuple[str, ...]) -> None:
        out = finetune(*words, "--help")[1]
        assert [found for found in re.findall(r"<\w[^>]+>", out) if "|" not in found] == [], words
        for name, below in getattr(command, "commands", {}).items():
            check(below, (*words, name))

    check(get_command(app), ())


def test_a_pipe_gets_plain_text() -> None:
    command = [sys.executable, "-m", "finetune", "train", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout
    assert done.stdout.isprintable() or done.stdout.replace("\n", "").isascii()
