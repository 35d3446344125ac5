"""Every error is one line on stderr with its exit code; -v adds the traceback."""

import io
import os
import subprocess
import sys

import pytest

from finetune.cli.exit_codes import FAILED, INTERRUPTED, WRONG_USAGE
from finetune.cli.failures import report_failure
from finetune.cli.output import set_up_logging
from finetune.errors import DataError, UsageError


def test_an_unexpected_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=False)
    assert report_failure(ZeroDivisionError("division\nby zero")) == 1
    assert capsys.readouterr().err == (
        "finetune: error: unexpected ZeroDivisionError: division by zero; this is a bug in finetune, please report it "
        "(-v shows where)\n"
    )


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("--top is wrong"), WRONG_USAGE, "--top is wrong"),
        (DataError("no images\n in x"), FAILED, "no images in x"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted; nothing was finished"),
    ],
)
def test_the_packages_own_errors(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_failure(error) == code
    assert capsys.readouterr() == ("", f"finetune: error: {line}\n")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal_an_error_is_red_and_breaks_between_words(monkeypatch: pytest.MonkeyPatch, no_color: str) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", no_color)
    report_failure(DataError("no images in the folder x"))
    mark = "finetune: error:" if no_color else "\x1b[31mfinetune: error:\x1b[0m"
    assert terminal.getvalue().splitlines() == [f"{mark} no images in", "          the folder x"]


def test_notes_follow_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    error = UsageError("--top must be 1 or more")
    error.add_note("(set by FINETUNE_PREDICT_TOP)")
    report_failure(error)
    assert capsys.readouterr().err == "finetune: error: --top must be 1 or more (set by FINETUNE_PREDICT_TOP)\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "the output: No space left on device; fix that and run the same"),
        (OSError(2, "No such file or directory", "a.png"), "a.png: No such file or directory; fix that and run"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/x']"), "No usable temporary directory found"),
    ],
)
def test_an_error_of_the_system_names_the_file_or_the_output(
    error: OSError, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_failure(error) == 1
    assert capsys.readouterr().err.startswith(f"finetune: error: {line}")


def test_v_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=True)
    try:
        int("x")
    except ValueError as error:
        report_failure(error)
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert "test_failures.py" in shown
    assert shown.splitlines()[-1].startswith("finetune: error: unexpected ValueError")


class ResourceExhaustedError(Exception):
    """Has the name of TensorFlow's error."""


class OpenCVError(Exception):
    """Has the code of OpenCV's error."""

    code = -4


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError("OOM when allocating tensor"),
        OpenCVError("Failed to allocate"),
        ImportError("libx.so: failed to map segment from shared object"),
    ],
)
def test_too_little_memory_in_any_library(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_failure(error) == 1
    assert "not enough memory; close other programs, or give a smaller --batch-size" in capsys.readouterr().err


def test_a_message_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    report_failure(DataError("a\x1b[2J"))
    assert capsys.readouterr().err == "finetune: error: a\\x1b[2J\n"


def test_a_closed_pipe_needs_no_message() -> None:
    """As `finetune summary alexnet | true`, with stdout buffered: the pipe is found closed at the very end."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "finetune", "summary", "alexnet"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment)
    os.close(writing)
    assert (done.returncode, done.stderr) == (FAILED, b"")
