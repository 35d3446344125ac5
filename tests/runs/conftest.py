"""A run whose manifest is read."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.runs import started
from support.small_run import NAMES, records

from finetune.data.dataset import Dataset
from finetune.runs.run import Run


@pytest.fixture
def run(image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run made in `tmp_path` with relative names only; the first image of each class is for validation."""
    image_folder(dots=3, waves=2)
    monkeypatch.chdir(tmp_path)
    made = Run(Path("runs", "mine"))
    started(made.path, {"out": "runs/mine", "data": "images"}, Dataset(records(), NAMES))
    return made
