import io
import logging
import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

from finetune.system import progress
from finetune.system.progress import counting, reporting, saying, track


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test turns: `seconds[0] += 2`."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def run(seconds: list[float], items: int, each: float) -> None:
    """Take all items, each in the given time."""
    for _ in track(range(items), items, "reading", "files"):
        seconds[0] += each


def test_a_line_every_five_seconds(seconds: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """Two seconds an item: the first line after three of them, at half an item a second."""
    with caplog.at_level(logging.INFO, "finetune"):
        run(seconds, items=8, each=2)
    assert caplog.messages == [
        "reading: 3 of 8 files, 0.5 files/s, 10 s left",
        "reading: 6 of 8 files, 0.5 files/s, 4 s left",
    ]


def test_an_unknown_total(seconds: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "finetune"):
        for _ in track(range(3), None, "reading", "files"):
            seconds[0] += 5
    assert caplog.messages[:2] == ["reading: 1 files, 0.2 files/s", "reading: 2 files, 0.2 files/s"]


def test_quick_work_shows_nothing(seconds: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "finetune"):
        run(seconds, items=100, each=0.04)
    assert caplog.messages == []


def test_numbers_for_a_program_a_few_times_a_second_and_at_the_end(
    seconds: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """An eighth of a second an item: every second one, and the last."""
    seen: list[tuple[str, int, int | None]] = []
    with caplog.at_level(logging.INFO, "finetune"), reporting(lambda *numbers: seen.append(numbers)):
        run(seconds, items=6, each=0.125)
        with saying("loading…"):
            pass
    assert seen == [*(("reading", done, 6) for done in (1, 3, 5, 6)), ("loading…", 0, None)]
    with caplog.at_level(logging.INFO, "finetune"):
        run(seconds, items=8, each=2)
    assert len(seen) == 5, "only within the block"
    assert len(caplog.messages) == 2


def test_silent_unless_the_logger_lets_info_through(
    seconds: list[float], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING, "finetune"):
        run(seconds, items=8, each=2)
    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with caplog.at_level(logging.INFO, "finetune"):
        assert list(track("abc", 3, "reading", "files")) == ["a", "b", "c"]
    assert "reading" in terminal.getvalue()
    assert "files/s" in terminal.getvalue()
    assert caplog.messages == []


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_items_pass_through_one_by_one(level: int, caplog: pytest.LogCaptureFixture) -> None:
    source = iter("abc")
    with caplog.at_level(level, "finetune"):
        tracked = track(source, 3, "reading", "files")
        assert next(tracked) == "a"
        assert next(source) == "b"  # not taken ahead
        assert list(tracked) == ["c"]


def test_an_exception_comes_through(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "finetune"), pytest.raises(ZeroDivisionError):
        list(track((1 // number for number in (1, 0)), 2, "reading", "files"))


@pytest.mark.parametrize("no_color", [True, False])
def test_no_color(no_color: bool) -> None:
    """A bar has colours unless NO_COLOR is set."""
    script = (
        "import logging, time\nfrom finetune.system.progress import counting, saying, track\n"
        "logging.getLogger('finetune').setLevel(logging.INFO)\n"
        "for _ in track(range(3), 3, 'reading', 'files'): time.sleep(0.15)\n"
    )
    terminal, shell = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm-256color"} | ({"NO_COLOR": "1"} if no_color else {})
    subprocess.run([sys.executable, "-c", script], env=environment, stderr=shell, check=True)
    os.close(shell)
    shown = b""
    while chunk := read(terminal):
        shown += chunk
    assert b"reading" in shown
    assert (b"\x1b[38;" in shown or b"\x1b[3" in shown) is not no_color


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the process has closed the other end
        return b""


@pytest.mark.parametrize(("level", "terminal"), [(logging.INFO, True), (logging.WARNING, True), (logging.INFO, False)])
def test_what_happens_is_said_on_a_terminal_and_taken_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, level: int, terminal: bool
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with caplog.at_level(level, "finetune"), suppress(ZeroDivisionError), saying("loading…"):
        before = stream.getvalue()
        raise ZeroDivisionError
    shown = terminal and level == logging.INFO
    assert before == ("loading…\r" if shown else "")
    assert stream.getvalue() == ("loading…\r        \r" if shown else "")


def test_nothing_is_shown_within_a_count(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Neither another bar, of which rich can draw only one, nor what happens, which would break it."""
    stream = Terminal()
    with caplog.at_level(logging.INFO, "finetune"), counting(2, "training", "images"):
        monkeypatch.setattr(sys, "stderr", stream)
        with saying("loading…"):
            assert list(track("ab", 2, "features", "images")) == ["a", "b"]
        assert stream.getvalue() == ""
    with caplog.at_level(logging.INFO, "finetune"), saying("loading…"):
        assert stream.getvalue()
