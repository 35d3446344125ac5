"""kill -9 in every phase: the run is resumed, and ends with the same bits."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(("options", "phases"), [("gradient", 10), ("probe", 5)])
def test_two_kills_in_each_phase(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path, options: str, phases: int
) -> None:
    (tmp_path / "runs").mkdir()
    program = Path(__file__).parents[1] / "support" / "kill_training.py"
    data = image_folder(stripes=30, dots=30)
    (data / "dots" / "broken.jpg").write_bytes(b"not an image")
    command = [sys.executable, program, data, tiny_weights, tmp_path / "runs", "2", options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    kills = Counter(done.stdout.splitlines())
    assert len(kills) == phases, kills
    assert set(kills.values()) == {2}, kills
