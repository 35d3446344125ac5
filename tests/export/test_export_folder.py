"""The folder of an export appears whole or not at all, and never replaces anything but an older export."""

from pathlib import Path

import pytest

from finetune.errors import RunError
from finetune.export.export_folder import export_folder


def write(folder: Path, text: str, overwrite: bool = False) -> None:
    with export_folder(folder, overwrite) as new:
        (new / "README.md").write_text(text, encoding="utf-8")


def test_appears_whole_and_readable_by_others(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "out"
    with export_folder(folder, overwrite=False) as new:
        (new / "README.md").write_text("one", encoding="utf-8")
        assert not folder.exists()
    assert (folder / "README.md").read_text(encoding="utf-8") == "one"
    assert [path.name for path in folder.parent.iterdir()] == ["out"]
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777


def test_overwrite(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, "one")
    (folder / "model.onnx").touch()
    with pytest.raises(RunError, match="already holds an export; choose another --out, or --overwrite to replace it"):
        write(folder, "two")
    write(folder, "two", overwrite=True)
    assert [path.name for path in folder.iterdir()] == ["README.md"]
    assert (folder / "README.md").read_text(encoding="utf-8") == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_keeps_the_older_export(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, "one")

    def fail() -> None:
        with export_folder(folder, overwrite=True) as new:
            (new / "README.md").write_text("two", encoding="utf-8")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert (folder / "README.md").read_text(encoding="utf-8") == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_files_are_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(RunError, match="contains files that are not part of an export; choose another --out"):
        write(tmp_path, "one", overwrite)
    with pytest.raises(RunError, match="is not a folder; expected the name of a new one"):
        write(tmp_path / "config.json", "one", overwrite)
    with pytest.raises(RunError, match=r"cannot be written \(.*\); choose another --out"):
        write(tmp_path / "config.json" / "out", "one", overwrite)


def test_a_web_site_is_not_an_older_export(tmp_path: Path) -> None:
    """Its files may have the names of ours."""
    for name in ("README.md", "index.html", "page.css"):
        (tmp_path / name).touch()
    with pytest.raises(RunError, match="contains files that are not part of an export"):
        write(tmp_path, "one", overwrite=True)
    (tmp_path / "classes.txt").touch()
    write(tmp_path, "one", overwrite=True)


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "out"

    def export_while_another_writes() -> None:
        with export_folder(folder, overwrite=True):
            folder.mkdir()
            (folder / "mine.txt").touch()

    with pytest.raises(RunError, match="contains files that are not part of an export"):
        export_while_another_writes()
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with pytest.raises(RunError, match="out is not a folder; expected the name of a new one"):
        write(tmp_path / "out", "one", overwrite=True)


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", "one")
    assert (tmp_path / "out" / "README.md").is_file()
