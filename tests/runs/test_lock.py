"""One process at a time trains into a folder, and nothing of the lock stays."""

from pathlib import Path

import pytest
from filelock import FileLock

from finetune.errors import RunError
from finetune.runs.lock import LOCK, locked


def test_the_folder_is_made_and_removed_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    with locked(folder, folder / ".new"):
        assert (folder / LOCK).exists()
    assert list(tmp_path.iterdir()) == [], "nor the folders above it"


def test_a_folder_above_that_others_use_stays(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    with locked(folder, folder / ".new"):
        (tmp_path / "runs" / "other").mkdir()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]


def test_a_folder_with_files_stays(tmp_path: Path) -> None:
    with locked(tmp_path / "run", tmp_path / "run" / ".new"):
        (tmp_path / "run" / "model").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".new").mkdir()
    (tmp_path / ".new" / "config.json").touch()
    (tmp_path / "checkpoint").mkdir()
    for name in (".model.x.part", "checkpoint/.last.y.part", "notes.part"):
        (tmp_path / name).touch()
    with locked(tmp_path, tmp_path / ".new"):
        left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left == [LOCK, "checkpoint", "notes.part"], "files of the user stay"


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / LOCK),
        pytest.raises(RunError, match=r"another training is writing to .*; wait for it, or choose another --out"),
        locked(tmp_path, tmp_path / ".new"),
    ):
        pytest.fail("it was let in")


def test_an_error_releases_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "run", tmp_path / "run" / ".new"):
        raise KeyboardInterrupt
    with locked(tmp_path / "run", tmp_path / "run" / ".new"):
        pass
