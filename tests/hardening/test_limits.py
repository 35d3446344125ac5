"""Signals, closed pipes, too little memory, full disks: one line, the right exit code, no incomplete files."""

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.activation_files import random_layers, write_activations
from support.one_line import one_line

FINETUNE = [sys.executable, "-m", "finetune"]

Finetune = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_before_any_work(number: int, tiny_weights: Path) -> None:
    """The signal comes while the command waits for names on stdin."""
    with subprocess.Popen(
        [*FINETUNE, "predict", "-", "--model", tiny_weights],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        wait_until_stdin_is_read(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    one_line(process.returncode, out, err, "interrupted; nothing was finished", expected=130)


def wait_until_stdin_is_read(pid: int) -> None:
    """Return when the process is blocked in a read of its stdin, which is a pipe."""
    import time

    for _ in range(600):
        if "pipe_read" in Path(f"/proc/{pid}/wchan").read_text() or reads_stdin(pid):
            return
        time.sleep(0.1)
    pytest.fail("the process never read its stdin")


def reads_stdin(pid: int) -> bool:
    """Return whether the process is inside the system call read(0, …)."""
    words = Path(f"/proc/{pid}/syscall").read_text().split()
    return words[:2] == ["0", "0x0"]  # the number of the call and its first argument


@pytest.mark.tensorflow
@pytest.mark.slow
def test_sigterm_keeps_the_last_epoch(
    finetune: Finetune, image_folder: Callable[..., Path], tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetune.training.head import Head

    evaluate, evaluations = Head.evaluate, 0

    def evaluate_until_terminated(head: Head, data: Any) -> tuple[float, float]:
        nonlocal evaluations
        evaluations += 1
        if evaluations == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(head, data)

    monkeypatch.setattr(Head, "evaluate", evaluate_until_terminated)
    code, out, err = finetune(
        "train", "--data", image_folder(stripes=4, dots=4), "--weights", tiny_weights, "--out", "run", "--skip", "fc8"
    )
    assert code == 130
    assert "interrupted: 2 of 30 epochs are done; keeping the last" in err
    assert "model     run/model.safetensors" in out
    assert Path("run/report.html").exists()


@pytest.mark.parametrize("command", [["weights", "list"], ["--help"], ["summary", "alexnet", "--json"]])
def test_a_closed_pipe_behind_stdout(command: list[str]) -> None:
    """Like `finetune weights list | true`."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*FINETUNE, *command], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_stdout_on_a_full_disk() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*FINETUNE, "weights", "list"], stdout=full, stderr=subprocess.PIPE, text=True)
    one_line(done.returncode, "", done.stderr, "the output: No space left on device")


def test_closed_stdout() -> None:
    done = subprocess.run([*FINETUNE, "weights", "list"], preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_little_memory(tmp_path: Path) -> None:
    """An image of 90 megapixels in 800 MB of address space, most of which the libraries use."""
    for name in ("ants", "bees"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "large.png"), np.full((10_000, 9_000, 3), len(name), np.uint8))

    def limit_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (800 << 20, 800 << 20))

    done = subprocess.run([*FINETUNE, "check", tmp_path], capture_output=True, text=True, preexec_fn=limit_memory)
    one_line(done.returncode, done.stdout, done.stderr, "not enough memory; close other programs")


WRITERS = {
    "weights convert": ("{weights}", "new.npz"),
    "report": ("{run}",),
    "check": ("{data}", "--html", "new.html"),
    "score": ("{data}", "--model", "{weights}", "--out", "new.csv"),
    "rdm": ("{acts}", "--out", "new.h5"),
    "explain": ("{image}", "--model", "{weights}", "--out", "new.png"),
    "filters": ("--model", "{weights}", "--out", "new.png"),
    "export": ("{weights}", "--to", "npy", "--out", "new"),
    "train": ("--data", "{data}", "--weights", "{weights}", "--out", "new", "--epochs", "1"),
}


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC], ids=["read-only", "full"])
@pytest.mark.parametrize("command", WRITERS)
def test_folders_that_cannot_be_written(
    command: str,
    code: int,
    finetune: Finetune,
    image_folder: Callable[..., Path],
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every command that writes fails with one line, and existing files stay unchanged."""
    from support.readers import write_run

    data, run = image_folder(stripes=4, dots=4), write_run(tmp_path / "run")
    acts = write_activations(tmp_path / "acts.h5", random_layers(4))
    paths = {"weights": tiny_weights, "data": data, "run": run.path, "image": data / "dots" / "0.png", "acts": acts}
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def refuse(*_: object, **options: object) -> None:
        raise OSError(code, os.strerror(code), str(options.get("dir", "new")))

    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    done = finetune(*command.split(), *(word.format(**paths) for word in WRITERS[command]))
    one_line(*done, os.strerror(code))
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and ".partial" not in str(path)}
    assert after == before
