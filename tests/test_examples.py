"""The examples, run as a user would run them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_batch_score(image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path) -> None:
    data = image_folder(stripes=2, dots=1)
    (data / "broken.png").touch()
    done = subprocess.run(
        [sys.executable, EXAMPLES / "batch_score.py", data, tiny_weights],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [path for _, _, path in lines] == [
        str(data / name) for name in ("dots/0.png", "stripes/0.png", "stripes/1.png")
    ]
    for probability, label, _ in lines:
        assert (label == "?") == (float(probability) < 0.6)
        assert label in ("?", "red", "green", "blue")
    assert done.stderr == f"{data / 'broken.png'}: the file is empty\n"
