"""Files and folders that appear whole or not at all."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune.system.atomic import replacing, replacing_folder


def contents(folder: Path) -> dict[str, str]:
    """Return the text of every file in a folder and below it; hidden ones count."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    assert os.umask(before) == request.param, "the umask was changed"


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
    assert contents(tmp_path) == ({"result.txt": old} if old else {})


def test_the_file_is_flushed_to_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append((os.fstat(file).st_size, path.exists())))
    path = tmp_path / "result.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert flushed == [(3, False)]


def test_two_at_once_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert contents(tmp_path) == {"result.txt": "first"}, "the outer block ended last"


def test_a_file_of_another_process_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: "same")
    (tmp_path / ".result.txt.same.part").write_text("theirs")
    with pytest.raises(FileExistsError), replacing(tmp_path / "result.txt"):
        pytest.fail("the block was entered")
    assert contents(tmp_path) == {".result.txt.same.part": "theirs"}


def test_a_writer_that_renames_its_own_file_over_the_temporary_one(tmp_path: Path) -> None:
    with replacing(tmp_path / "result.txt") as temporary:
        own = tmp_path / "own"
        own.write_text("new")
        own.replace(temporary)
    assert contents(tmp_path) == {"result.txt": "new"}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)], indirect=["umask"])
def test_permissions_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    with replacing(tmp_path / "result.txt") as temporary:
        temporary.write_text("new")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600, "private until it is whole"
    assert stat.S_IMODE((tmp_path / "result.txt").stat().st_mode) == mode


def test_the_umask_is_never_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even for a moment, other threads would create files that anybody can write."""
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask was set"))
    with replacing(tmp_path / "result.txt") as temporary:
        temporary.write_text("new")


def test_a_folder_in_the_way_or_none_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught, replacing(tmp_path / "folder"):
        pass
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "folder"), None)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    missing = tmp_path / "missing" / "result.txt"
    with pytest.raises(FileNotFoundError) as caught, replacing(missing):
        pass
    assert caught.value.filename == str(missing)


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "result.txt"):
        (tmp_path / "other.txt").read_text()
    assert caught.value.filename == str(tmp_path / "other.txt")
    with pytest.raises(OSError, match="No space") as caught, replacing(tmp_path / "result.txt"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "result.txt")


def test_the_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    folder = tmp_path / "parent" / "out"
    with replacing_folder(folder) as new:
        (new / "a.txt").write_text("new")
        assert not folder.exists()
        assert new.is_relative_to(folder.parent)  # one file system, so that the last step is a rename
        assert stat.S_IMODE(new.parent.stat().st_mode) == 0o700, "private until it is whole"
    assert contents(tmp_path) == {"parent/out/a.txt": "new"}
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002], indirect=True)
def test_permissions_of_the_folder_follow_the_umask(tmp_path: Path, umask: int) -> None:
    with replacing_folder(tmp_path / "out"):
        pass
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o777 & ~umask


def test_an_old_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    with replacing_folder(folder) as new:
        (new / "new.txt").write_text("new")
        assert contents(folder) == {"old.txt": "old"}
    assert contents(tmp_path) == {"out/new.txt": "new"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [False, True])
def test_a_failed_block_leaves_no_folder(tmp_path: Path, old: bool, error: type[BaseException]) -> None:
    folder = tmp_path / "out"
    if old:
        folder.mkdir()
        (folder / "old.txt").write_text("old")

    def fail() -> None:
        with replacing_folder(folder) as new:
            (new / "new.txt").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert contents(tmp_path) == ({"out/old.txt": "old"} if old else {})
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if old else [])


def test_an_old_folder_comes_back_when_the_new_one_cannot_be_moved(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    with pytest.raises(FileNotFoundError) as caught, replacing_folder(folder) as new:
        new.rmdir()
    assert caught.value.filename == str(folder)
    assert contents(tmp_path) == {"out/old.txt": "old"}


def test_an_error_in_the_hidden_folder_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, replacing_folder(tmp_path / "out") as new:
        (new / "missing" / "a.txt").write_text("new")
    assert caught.value.filename == str(tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError), replacing_folder(tmp_path / "file" / "out"):
        pass
    with pytest.raises(NotADirectoryError), replacing_folder(tmp_path / "file"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
