"""Digests remembered by the files' stamps: never a wrong one, whatever happens to files and cache."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import platformdirs
import pytest
from support.encoded_images import png

from finetune.data import digests as module
from finetune.data.digests import Stamp, digests
from finetune.errors import ImageError

IS_SETTLED = Stamp.is_settled  # as it is before tests change it
STAMP = Stamp(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5)


@pytest.fixture(autouse=True)
def settled_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the files that a test has just written for old ones."""
    monkeypatch.setattr(Stamp, "is_settled", lambda stamp, now: True)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are read."""
    paths: list[Path] = []
    read_bytes = module.read_bytes
    monkeypatch.setattr(module, "read_bytes", lambda path: paths.append(path) or read_bytes(path))
    return paths


def images(folder: Path, count: int = 3) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(png(1, 1, 8, 0, bytes([0, number])) + b".")
    return paths


def expected(paths: Iterable[Path]) -> list[str]:
    return [sha256(path.read_bytes()).hexdigest() for path in paths]


def cache_file() -> Path:
    (file,) = Path(platformdirs.user_cache_dir("finetune")).glob("digests-*.sqlite")
    return file


def test_a_file_is_read_once(tmp_path: Path, read: list[Path]) -> None:
    paths = images(tmp_path)
    wanted = expected(paths)
    assert list(digests(paths)) == list(digests(paths)) == wanted
    assert sorted(read) == paths


def test_links_are_the_file_they_lead_to(tmp_path: Path, read: list[Path]) -> None:
    (path,) = images(tmp_path, 1)
    (tmp_path / "symbolic.png").symlink_to(path)
    os.link(path, tmp_path / "hard.png")
    list(digests([path]))
    assert list(digests([tmp_path / "symbolic.png", tmp_path / "hard.png"])) == expected([path, path])
    assert read == [path]


def overwritten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"x")  # of the same size


def overwritten_with_the_old_time(path: Path) -> None:
    status = path.stat()
    overwritten(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced_with_the_old_time(path: Path) -> None:
    other = path.with_name("other")
    shutil.copy2(path, other)
    overwritten_with_the_old_time(other)
    other.replace(path)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize("change", [overwritten, overwritten_with_the_old_time, replaced_with_the_old_time, longer])
def test_a_changed_file_is_read_again(tmp_path: Path, change: Callable[[Path], None]) -> None:
    paths = images(tmp_path)
    list(digests(paths))
    time.sleep(0.02)  # the clock of a file system ticks every 4 to 10 ms
    change(paths[1])
    assert list(digests(paths)) == expected(paths)
    assert list(digests(paths)) == expected(paths), "the new one is remembered in place of the old one"


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = images(tmp_path, 1)
    before, read_bytes = expected([path]), module.read_bytes

    def changed_after_reading(path: Path) -> bytes:
        data = read_bytes(path)
        longer(path)
        return data

    with monkeypatch.context() as patched:  # `undo` would return to the user's own cache
        patched.setattr(module, "read_bytes", changed_after_reading)
        assert list(digests([path])) == before
    assert list(digests([path])) == expected([path])


NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("mtime", "ctime", "settled"),
    [
        (NOW - 3, NOW - 3.5, True),
        (NOW - 1, NOW - 3.5, False),  # another change might get the same time
        (NOW - 3, NOW - 1.5, False),
        (NOW + 60, NOW - 3.5, False),  # a wrong clock
        (NOW - 90000, NOW - 90000, False),  # a file system that counts whole seconds
        (NOW - 90000, NOW - 90000.5, True),  # as an archive of whole seconds unpacks
    ],
)
def test_which_stamps_are_settled(mtime: float, ctime: float, settled: bool) -> None:
    assert IS_SETTLED(Stamp(1, 2, 3, int(mtime * 1e9), int(ctime * 1e9)), NOW) is settled


def test_a_file_that_was_just_written_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[Path]
) -> None:
    monkeypatch.setattr(Stamp, "is_settled", lambda stamp, now: stamp.mtime_ns / 1e9 < now - 60)
    paths = images(tmp_path, 1)
    assert list(digests(paths)) == list(digests(paths)) == expected(paths)
    assert len(read) == 2


def test_an_image_that_cannot_be_read_is_an_error_every_time(tmp_path: Path) -> None:
    paths = images(tmp_path)
    paths[1].write_bytes(b"no image")
    paths.append(tmp_path / "missing.png")
    for _ in range(2):
        first, text, third, missing = digests(paths)
        assert [first, third] == expected([paths[0], paths[2]])
        assert isinstance(text, ImageError)
        assert isinstance(missing, ImageError)
        assert "cannot be opened (No such file or directory)" in str(missing)


def test_without_the_cache_nothing_is_remembered(tmp_path: Path, read: list[Path]) -> None:
    paths = images(tmp_path)
    assert list(digests(paths, cache=False)) == list(digests(paths, cache=False)) == expected(paths)
    assert len(read) == 6
    assert not list(Path(platformdirs.user_cache_dir("finetune")).glob("digests-*"))


def test_what_an_interrupted_pass_has_read_is_remembered(tmp_path: Path, read: list[Path]) -> None:
    paths = images(tmp_path)
    found = digests(paths)
    next(found)
    found.close()
    first = len(read)
    assert first >= 1
    read.clear()
    list(digests(paths))
    assert len(read) == 3 - first


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "table", "bit", "null", "folder"])
def test_a_damaged_cache_never_gives_a_wrong_digest(tmp_path: Path, damage: str, read: list[Path]) -> None:
    paths = images(tmp_path, 40)
    list(digests(paths))
    file = cache_file()
    content = file.read_bytes()
    if damage in ("table", "bit", "null"):
        with sqlite3.connect(file) as database:
            database.execute(
                {
                    "table": "ALTER TABLE files RENAME COLUMN digest TO other",
                    "bit": "UPDATE files SET digest = zeroblob(32)",
                    "null": "UPDATE files SET digest = NULL, proof = NULL",
                }[damage]
            )
        database.close()
    elif damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes({"text": b"no database" * 1000, "empty": b"", "cut": content[: len(content) // 2]}[damage])
    for _ in range(3):
        assert list(digests(paths)) == expected(paths)
    if damage not in ("folder", "table"):
        read.clear()
        list(digests(paths))
        assert not read, "there is a whole cache again"


@pytest.mark.parametrize("damage", range(20))
def test_bytes_changed_anywhere_in_the_cache(tmp_path: Path, damage: int) -> None:
    paths = images(tmp_path, 60)
    list(digests(paths))
    file = cache_file()
    content = bytearray(file.read_bytes())
    for place in range(damage * 37 + 100, len(content), 997):
        content[place] ^= 0x15
    file.write_bytes(content)
    for _ in range(2):
        assert list(digests(paths)) == expected(paths)


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / "file" / "finetune"))
    paths = images(tmp_path / "images")
    assert list(digests(paths)) == expected(paths)


def test_a_cache_that_another_process_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT", 0.1)
    paths = images(tmp_path)
    list(digests(paths[:1]))
    holder = sqlite3.connect(cache_file(), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert list(digests(paths)) == expected(paths)
    holder.execute("ROLLBACK")
    holder.close()
    assert cache_file().exists()
    assert list(digests(paths)) == expected(paths)


def test_on_windows_nothing_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[Path]) -> None:
    """What os.stat calls ctime there does not change with the content."""
    monkeypatch.setattr(module, "sys", SimpleNamespace(platform="win32"))
    paths = images(tmp_path)
    assert list(digests(paths)) == list(digests(paths)) == expected(paths)
    assert len(read) == 6


def test_the_largest_inode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[Path]) -> None:
    """Some network file systems number their files with all 64 bits; SQLite's integers have a sign."""
    paths = images(tmp_path, 2)
    inodes = dict(zip(paths, (2**64 - 1, 2**63 - 1), strict=True))

    def numbered(path: Path) -> SimpleNamespace:
        status = path.stat()
        names = ("st_mode", "st_dev", "st_size", "st_mtime_ns", "st_ctime_ns")
        return SimpleNamespace(st_ino=inodes[path], **{name: getattr(status, name) for name in names})

    monkeypatch.setattr(module, "os", SimpleNamespace(stat=numbered))
    assert list(digests(paths)) == list(digests(paths)) == expected(paths)
    assert len(read) == 2
