"""Results on a terminal: no line is wider than it, numbers are whole, and what is piped is complete."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from finetune.choices import NETWORK_NAMES
from finetune.cli.terminal import Table, fits, show

Finetune = Callable[..., tuple[int, str, str]]
Terminal = Callable[[int], None]

ROWS = [("name", "count", "note"), ("ants and bees", "12,345", "two words"), ("llama", "7", "x")]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("command", [*(["summary", name] for name in NETWORK_NAMES), ["weights", "list"]])
def test_it_fits(command: list[str], width: int, finetune: Finetune, terminal: Terminal) -> None:
    _, piped, _ = finetune(*command)
    terminal(width)
    code, shown, err = finetune(*command)
    assert (code, err) == (0, "")
    assert max(map(cell_len, shown.splitlines())) <= width
    assert {line.split()[0] for line in piped.splitlines() if line} <= set(shown.split())
    if max(map(len, piped.splitlines())) <= width:
        assert [line.rstrip() for line in shown.splitlines()] == piped.splitlines(), "nothing is left out without need"


@pytest.mark.parametrize("width", [60, 80])
def test_a_digest_is_wrapped(width: int, tiny_weights: Path, finetune: Finetune, terminal: Terminal) -> None:
    terminal(width)
    _, shown, _ = finetune("weights", "inspect", tiny_weights)
    assert max(map(cell_len, shown.splitlines())) <= width
    (digest,) = re.findall(r"sha256 (.*) networks", " ".join(shown.split()))
    assert len(digest.replace(" ", "")) == 64


def shown(table: Table, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show(table)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_optional_columns_go_first_and_numbers_are_never_wrapped(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(32)  # 13 + 2 + 6 + 2 + 9
    table = Table("lrl", ROWS, optional=(2,))
    assert fits(table)
    assert shown(table, capsys) == [
        "name            count  note",
        "ants and bees  12,345  two words",
        "llama               7  x",
    ]
    terminal(31)
    assert not fits(table)
    assert shown(table, capsys) == ["name            count", "ants and bees  12,345", "llama               7"]
    terminal(18)
    assert shown(table, capsys) == ["name         count", "ants and    12,345", "bees", "llama            7"]
    assert shown(Table("lr", [("ab cd ef", "1,000,000 kB")], header=False), capsys) == [
        "ab    1,000,000 kB", "cd", "ef",
    ]  # fmt: skip


def test_texts_are_shortened_before_a_column_goes(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("name", "when", "n"), ("a-long-name-of-a-run", "12:00", "1"), ("x\x1b", "13:00", "2")]
    table = Table("llr", rows, optional=(1,), shrink=((0, 8),), notes=[["  it is"], []])
    for width, name, when in ((80, "a-long-name-of-a-run", "  12:00"), (19, "a-lo…-run", "  12:00")):
        terminal(width)
        assert shown(table, capsys)[1:3] == [f"{name}{when}  1", "  it is"]
    terminal(17)
    assert shown(table, capsys) == ["name            n", "a-long-…-a-run  1", "  it is", r"x\x1b           2"]


def test_lines_above_and_below(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    """What is below is one paragraph for a terminal, and two lines elsewhere."""
    table = Table("l", [("x",)], header=False, above="head", below="one\ntwo")
    assert shown(table, capsys) == ["head", "x", "one", "two"]
    terminal(20)
    assert shown(table, capsys) == ["head", "x", "one two"]


def test_wide_letters_and_names_that_control_the_terminal(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ideograph takes two columns; names can hold escape sequences, and what rich takes for colours."""
    wide = Table("lr", [("蚂蚁", "1")])
    terminal(7)
    assert fits(wide)
    terminal(6)
    assert not fits(wide)
    terminal(80)
    lines = shown(Table("lr", [("class", "n"), ("蚂蚁", "1"), ("\x1b[2J", "2"), ("[red]:bee:", "3")]), capsys)
    assert lines == ["class       n", "蚂蚁        1", r"\x1b[2J     2", "[red]:bee:  3"]


def test_colours_unless_no_color_is_set(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(80)
    assert not any("\x1b" in line for line in shown(Table("lrl", ROWS), capsys))
    monkeypatch.delenv("NO_COLOR")
    header, *rows = shown(Table("lrl", ROWS), capsys)
    assert "\x1b[36m" in header
    assert not any("\x1b" in row for row in rows)
    monkeypatch.undo()
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert shown(Table("lrl", ROWS), capsys)[0] == "name            count  note", "nothing but plain text is piped"
