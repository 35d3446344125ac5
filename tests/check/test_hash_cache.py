"""Hashes come back as they were kept, and a damaged or unwritable cache is no cache."""

from pathlib import Path

import numpy as np
import platformdirs
import pytest

from finetune.check import hash_cache
from finetune.check.hash_cache import keep_hashes, read_hashes

CODES = np.arange(96, dtype=np.uint8).reshape(3, 32)


def cache_file() -> Path:
    return next(Path(platformdirs.user_cache_dir("finetune")).glob("hashes-*.npy"))


def test_kept_and_read_again() -> None:
    assert read_hashes() == {}
    keep_hashes({"a" * 64: CODES, "b" * 64: None})
    found = read_hashes()
    assert list(found) == ["a" * 64, "b" * 64]
    np.testing.assert_array_equal(found["a" * 64], CODES)
    assert found["b" * 64] is None


def test_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_cache, "MOST_ROWS", 2)
    keep_hashes({"oldest": None, "old": None, "new": CODES})
    assert list(read_hashes()) == ["old", "new"]


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00"])
def test_a_damaged_cache_is_none(content: bytes) -> None:
    keep_hashes({"a": CODES})
    cache_file().write_bytes(content)
    assert read_hashes() == {}
    keep_hashes({"b": CODES})
    assert list(read_hashes()) == ["b"]


def test_another_array_is_none() -> None:
    keep_hashes({"a": CODES})
    np.save(cache_file(), np.zeros(3))
    assert read_hashes() == {}


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    keep_hashes({"a": CODES})
    assert read_hashes() == {}
