"""Fixtures for the tests of training."""

from pathlib import Path

import pytest

from finetune.data.images import read_bytes


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the list of files that are decoded from now on, in order."""
    paths: list[Path] = []

    def read(path: Path) -> bytes:
        paths.append(path)
        return read_bytes(path)

    monkeypatch.setattr("finetune.training.features.read_bytes", read)
    return paths
