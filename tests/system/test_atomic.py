import os
import stat
from pathlib import Path

import pytest

from finetune.system.atomic import replacing


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path  # one file system, so that the last step is a rename
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["result.txt"]  # noqa: PTH208


def test_an_old_file_stays_whole_until_then(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [None, "old"])
def test_a_failed_block_changes_nothing(tmp_path: Path, old: str | None, error: type[BaseException]) -> None:
    path = tmp_path / "result.txt"
    if old:
        path.write_text(old)

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == ({"result.txt": old} if old else {})


def test_a_writer_that_renames_its_own_file_over_the_temporary_one(tmp_path: Path) -> None:
    with replacing(tmp_path / "result.txt") as temporary:
        own = tmp_path / "own"
        own.write_text("new")
        own.replace(temporary)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"result.txt": "new"}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_rights_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "result.txt") as temporary:
            temporary.write_text("new")
        assert os.umask(umask) == umask  # left as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "result.txt").stat().st_mode) == mode


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="elsewhere there is no other way")
def test_the_umask_is_not_set_to_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment, other threads would make files that anybody can write."""
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask was set"))
    with replacing(tmp_path / "result.txt") as temporary:
        temporary.write_text("new")


def test_the_umask_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"Name:\tpython\n")
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "result.txt"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "result.txt").stat().st_mode) == 0o640


def test_a_folder_in_the_way_or_none_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "folder"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "missing" / "result.txt"):
        pass
