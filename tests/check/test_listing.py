"""Which files are checked, and what the listing itself reports."""

import shutil
from pathlib import Path

import pytest
from support.drawn_photos import write_photos

from finetune.check.check import check
from finetune.check.listing import list_files
from finetune.errors import DataError, UsageError


def findings(data: Path) -> list[tuple[str, str, list[str]]]:
    return [
        (finding.kind, finding.message, [path.relative_to(data).as_posix() for path in finding.paths])
        for finding in list_files(data).findings
    ]


def test_a_folder_without_splits(tmp_path: Path) -> None:
    for name in ("bees", "ants"):
        write_photos(tmp_path / name, range(2))
    listing = list_files(tmp_path)
    assert [(file.path.relative_to(tmp_path).as_posix(), file.class_name, file.split) for file in listing.files] == [
        ("ants/000.jpg", "ants", None),
        ("ants/001.jpg", "ants", None),
        ("bees/000.jpg", "bees", None),
        ("bees/001.jpg", "bees", None),
    ]
    assert (listing.class_names, listing.findings) == (("ants", "bees"), ())


def test_a_folder_with_splits(tmp_path: Path) -> None:
    write_photos(tmp_path / "train/ants", range(1))
    write_photos(tmp_path / "val/bees", range(1))
    listing = list_files(tmp_path)
    assert [(file.class_name, file.split) for file in listing.files] == [("ants", "train"), ("bees", "val")]


@pytest.mark.parametrize("name", ["val", "test"])
def test_a_folder_of_test_images_is_listed_too(tmp_path: Path, name: str) -> None:
    """The class that only the other split has counts; without validation, splits of the rest are still to be made."""
    write_photos(tmp_path / "train/ants", range(1))
    write_photos(tmp_path / name / "bees", range(1))
    listing = list_files(tmp_path)
    assert [(file.class_name, file.split) for file in listing.files] == [
        ("ants", "train" if name == "val" else None),
        ("bees", name),
    ]
    assert listing.class_names == ("ants", "bees")


def test_every_file_of_a_list_with_the_split_that_it_names(tmp_path: Path) -> None:
    """Whether it can be read is for the look at it to find."""
    lines = [f"{number}.jpg,{number % 2 + 9},{'test' if number > 5 else 'train'}" for number in range(8)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *lines]))
    listing = list_files(tmp_path / "list.csv")
    assert [(file.path.name, file.split) for file in listing.files] == [
        (f"{number}.jpg", "test" if number > 5 else None) for number in range(8)
    ]
    assert (listing.class_names, listing.findings) == (("9", "10"), ())


def test_files_that_are_not_images_are_one_finding_per_extension(tmp_path: Path) -> None:
    write_photos(tmp_path / "ants", range(1))
    (tmp_path / "bees").mkdir()
    for name in ("b.txt", "a.TXT", "README", "Thumbs.db", ".hidden"):
        (tmp_path / "ants" / name).write_text("text")
    (tmp_path / "notes.txt").write_text("outside the classes: nobody expects images there")
    assert findings(tmp_path) == [
        ("empty-class", "class 'bees' has no images", []),
        ("passed-over", "1 with no extension", ["ants/README"]),
        ("passed-over", "2 with extension .txt", ["ants/a.TXT", "ants/b.txt"]),
    ]


def test_images_outside_the_class_folders(tmp_path: Path) -> None:
    for place in ("train/ants", "val/ants", "loose"):
        write_photos(tmp_path / place, range(1))
    for place in (".", "train", "val"):
        shutil.copyfile(tmp_path / "loose/000.jpg", tmp_path / place / "x.jpg")
    assert findings(tmp_path) == [
        ("loose", "not in a class folder", [path]) for path in ("x.jpg", "train/x.jpg", "val/x.jpg")
    ]


def test_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected class folders with images in .*, found none; make a folder"):
        check(tmp_path)
    with pytest.raises(UsageError, match="none does not exist; check its name"):
        check(tmp_path / "none")
    write_photos(tmp_path / "loose", range(3))
    with pytest.raises(DataError, match=r"found none \(3 \w+ directly in it\); make a folder per class"):
        check(tmp_path / "loose")
    for place in ("x/train", "x/val", "y/train", "y/val"):
        write_photos(tmp_path / "nest" / place, range(1))
    with pytest.raises(DataError, match="nest holds data sets, not classes"):
        check(tmp_path / "nest")
