"""The folder of an export: whole or not at all, and nothing else is ever replaced."""

from pathlib import Path

import pytest

from finetune.errors import RunError
from finetune.export.folder import new_folder


def write(folder: Path, text: str, overwrite: bool = False) -> None:
    with new_folder(folder, overwrite) as made:
        (made / "README.md").write_text(text, encoding="utf-8")


def test_appears_whole_and_others_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "out"
    with new_folder(folder, overwrite=False) as made:
        (made / "README.md").write_text("one", encoding="utf-8")
        assert not folder.exists()
    assert (folder / "README.md").read_text(encoding="utf-8") == "one"
    assert [path.name for path in folder.parent.iterdir()] == ["out"]
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777


def test_overwrite(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, "one")
    (folder / "model.onnx").touch()
    with pytest.raises(RunError, match="holds an export already; choose another --out, or --overwrite to replace it"):
        write(folder, "two")
    write(folder, "two", overwrite=True)
    assert [path.name for path in folder.iterdir()] == ["README.md"]
    assert (folder / "README.md").read_text(encoding="utf-8") == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failure_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, "one")

    def fail() -> None:
        with new_folder(folder, overwrite=True) as made:
            (made / "README.md").write_text("two", encoding="utf-8")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert (folder / "README.md").read_text(encoding="utf-8") == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_files_are_in_the_way(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(RunError, match="has files in it that are no export; choose another --out"):
        write(tmp_path, "one", overwrite)
    with pytest.raises(RunError, match="is no folder; expected the name of a new one"):
        write(tmp_path / "config.json", "one", overwrite)
    with pytest.raises(RunError, match=r"cannot be written \(.*\); choose another --out"):
        write(tmp_path / "config.json" / "out", "one", overwrite)


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", "one")
    assert (tmp_path / "out" / "README.md").is_file()
