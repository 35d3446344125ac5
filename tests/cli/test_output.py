"""The log on stderr."""

import io
import logging
import sys
from pathlib import Path

import pytest

from finetune.cli.output import set_up_logging


def test_a_file_name_cannot_break_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=False)
    logging.getLogger("finetune.x").warning("skipped %s: %s", Path("a\nb\x1b[2J"), "why")
    assert capsys.readouterr() == ("", "warning: skipped a\\nb\\x1b[2J: why\n")


def test_lines_of_a_message_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=False)
    logging.getLogger("finetune.x").info("plan:\nfc8 \x1b[2J")
    assert capsys.readouterr().err == "plan:\nfc8 \\x1b[2J\n"


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal_long_lines_break_between_words_and_a_warning_is_yellow(
    monkeypatch: pytest.MonkeyPatch, no_color: str
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", no_color)
    set_up_logging(verbose=False)
    logging.getLogger("finetune.x").info("training  fc8 fresh; 30 epochs in batches\na  row")
    logging.getLogger("finetune.x").warning("skipped %s", Path("/a-folder/with-a-name-that-is-long.png"))
    logging.getLogger("finetune.x").warning("%s skipped", Path("/a-folder/with-a-name-that-is-long.png"))
    mark = "warning:" if no_color else "\x1b[33mwarning:\x1b[0m"
    assert terminal.getvalue().splitlines() == [
        "training  fc8 fresh; 30 epochs",
        "          in batches",
        "a  row",
        f"{mark} skipped",
        "          /a-folder/with-a-name-that-is-long.png",
        mark,
        "          /a-folder/with-a-name-that-is-long.png",
        "          skipped",
    ]


@pytest.mark.parametrize(("verbose", "lines"), [(False, "info\n"), (True, "debug\ninfo\n")])
def test_details_only_if_verbose(verbose: bool, lines: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=not verbose)
    set_up_logging(verbose)
    logger = logging.getLogger("finetune.x")
    logger.debug("debug")
    logger.info("info")
    assert capsys.readouterr().err == lines, "once, however often the log is set up"
