"""How a command ends when inputs were not read."""

import logging

import pytest
import typer

from finetune.cli.unread_inputs import end_if_unread
from finetune.data.unread import Unread
from finetune.errors import DataError


def test_all_some_and_none(caplog: pytest.LogCaptureFixture) -> None:
    line = "2 of {} not read: 2 × the file is empty; each with its reason in rows.csv"
    end_if_unread(Unread(), 2, "rows.csv")
    with pytest.raises(DataError, match=f"^{line.format(2)}$"):
        end_if_unread(Unread({"the file is empty": 2}), 2, "rows.csv")
    assert not caplog.records
    with caplog.at_level(logging.WARNING), pytest.raises(typer.Exit) as end:
        end_if_unread(Unread({"the file is empty": 2}), 3, "rows.csv")
    assert (end.value.exit_code, caplog.messages) == (3, [line.format(3)])
