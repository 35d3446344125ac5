"""kill -9 at any moment, in any phase: the run goes on, and ends with the same bits."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.slow
def test_twenty_kills(tiny_weights: Path, pictures: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    program = Path(__file__).with_name("kill_often.py")
    data = pictures(stripes=30, dots=30)
    (data / "dots" / "broken.jpg").write_bytes(b"no picture")
    done = subprocess.run(
        [sys.executable, program, data, tiny_weights, tmp_path / "runs", "20"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    phases = [line.split()[1] for line in done.stdout.splitlines()]
    assert len(phases) == 20
    assert len(set(phases)) >= 2, f"all in the same phase: {phases}"
