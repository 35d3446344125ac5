"""The log on stderr."""

import logging
from pathlib import Path

import pytest

from finetune.cli.output import set_up_logging


def test_a_file_name_cannot_break_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=False)
    logging.getLogger("finetune.x").warning("skipped %s: %s", Path("a\nb\x1b[2J"), "why")
    assert capsys.readouterr() == ("", "skipped a\\nb\\x1b[2J: why\n")


def test_lines_of_a_message_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=False)
    logging.getLogger("finetune.x").info("plan:\nfc8 \x1b[2J")
    assert capsys.readouterr().err == "plan:\nfc8 \\x1b[2J\n"


@pytest.mark.parametrize(("verbose", "lines"), [(False, "info\n"), (True, "debug\ninfo\n")])
def test_details_only_if_verbose(verbose: bool, lines: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=not verbose)
    set_up_logging(verbose)
    logger = logging.getLogger("finetune.x")
    logger.debug("debug")
    logger.info("info")
    assert capsys.readouterr().err == lines, "once, however often the log is set up"
