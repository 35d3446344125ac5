"""The cache of digests by itself: several processes, its size, and its use after it was closed."""

import multiprocessing
from pathlib import Path

import pytest

from finetune.data import digests as module
from finetune.data.digests import BATCH, DigestCache, Stamp

STAMP = Stamp(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5)


def _remember(file: Path, start: int) -> None:
    cache = DigestCache(file)
    for inode in range(start, start + 2 * BATCH):
        cache.keep(STAMP._replace(inode=inode), f"{inode:064x}")
    cache.close()


def test_several_processes_at_once(tmp_path: Path) -> None:
    file = tmp_path / "digests.sqlite"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_remember, args=(file, start)) for start in (0, BATCH, 2 * BATCH)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    cache = DigestCache(file)
    assert all(cache.find(STAMP._replace(inode=inode)) == f"{inode:064x}" for inode in range(4 * BATCH))
    assert cache.find(STAMP._replace(inode=4 * BATCH)) is None
    cache.close()


def test_the_oldest_rows_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", BATCH)
    cache = DigestCache(tmp_path / "digests.sqlite")
    for inode in range(2 * BATCH):
        cache.keep(STAMP._replace(inode=inode), f"{inode:064x}")
    known = [cache.find(STAMP._replace(inode=inode)) is not None for inode in range(2 * BATCH)]
    cache.close()
    assert known == [False] * BATCH + [True] * BATCH


def test_a_cache_that_is_used_after_it_was_closed_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    """As threads do that a second Ctrl-C left behind."""
    file = tmp_path / "digests.sqlite"
    cache = DigestCache(file)
    cache.keep(STAMP, "ab" * 32)
    cache.close()
    assert cache.find(STAMP) is None
    cache.keep(STAMP, "cd" * 32)
    cache.close()
    again = DigestCache(file)
    assert again.find(STAMP) == "ab" * 32
    again.close()
