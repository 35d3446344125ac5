"""Looks come back as they were kept, and a damaged or unwritable cache is no cache."""

from pathlib import Path

import numpy as np
import platformdirs
import pytest

from finetune.check import look_cache
from finetune.check.look_cache import KeptLook, keep_looks, read_looks

CODES = np.arange(96, dtype=np.uint8).reshape(3, 32)


def cache_file() -> Path:
    return next(Path(platformdirs.user_cache_dir("finetune")).glob("looks-*.npy"))


def test_kept_and_read_again() -> None:
    assert read_looks() == {}
    keep_looks({"a" * 64: KeptLook(CODES), "b" * 64: KeptLook(None, "premature end of data segment", dim=True)})
    found = read_looks()
    assert list(found) == ["a" * 64, "b" * 64]
    np.testing.assert_array_equal(found["a" * 64].codes, CODES)
    assert found["a" * 64][1:] == ("", False)
    assert found["b" * 64] == (None, "premature end of data segment", True)


def test_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_cache, "MOST_ROWS", 2)
    keep_looks({name: KeptLook(None) for name in ("oldest", "old", "new")})
    assert list(read_looks()) == ["old", "new"]


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00"])
def test_a_damaged_cache_is_none(content: bytes) -> None:
    keep_looks({"a": KeptLook(CODES)})
    cache_file().write_bytes(content)
    assert read_looks() == {}
    keep_looks({"b": KeptLook(CODES)})
    assert list(read_looks()) == ["b"]


def test_another_array_is_none() -> None:
    keep_looks({"a": KeptLook(CODES)})
    np.save(cache_file(), np.zeros(3))
    assert read_looks() == {}


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    keep_looks({"a": KeptLook(CODES)})
    assert read_looks() == {}
