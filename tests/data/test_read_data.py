"""`read_data` and `labelled_files`: every form of data is recognized, and gives the same records."""

import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from support.encoded_images import encode, idx

from finetune.choices import SplitName
from finetune.data.read_data import labelled_files, read_data
from finetune.errors import DataError

SPLITS: tuple[SplitName, ...] = get_args(SplitName)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of two classes with three images each."""
    for number in range(6):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(Image.new("RGB", (4, 3), (number, 0, 7)), "PNG"))
    return tmp_path / "data"


def written(root: Path, name: str, text: str) -> Path:
    (root / name).write_text(text)
    return root / name


def test_folder_list_and_csv_give_the_same_records(root: Path) -> None:
    lines = [(f"{'ab'[number % 2]}/{number}.png", "ab"[number % 2]) for number in range(6)]
    expected = read_data(root)
    text = written(root, "list.txt", "".join(f"{path} {label}\n" for path, label in lines))
    table = written(root, "list.Csv", "path,label\n" + "".join(f"{path},{label}\n" for path, label in lines))
    for data in (text, table):
        found = read_data(data)
        assert sorted(found.records) == sorted(expected.records)
        assert found.class_names == expected.class_names == ("a", "b")


def test_a_folder_with_idx_files_is_mnist_whatever_else_it_has(root: Path) -> None:
    images = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3)
    (root / "train-images-idx3-ubyte").write_bytes(idx(images))
    (root / "train-labels-idx1-ubyte").write_bytes(idx(np.array([5, 7, 5, 7], np.uint8)))
    assert read_data(root).class_names == ("5", "7")
    assert [file.class_name for file in labelled_files(root)] == ["5", "7", "5", "7"]


def test_the_share_that_validates(root: Path) -> None:
    for fraction, count in ((0.3, 2), (0.6, 4)):
        assert [record.split for record in read_data(root, fraction).records].count("val") == count


def test_every_form_has_groups_by_path(root: Path) -> None:
    """Classes of three images, two of them in a group."""
    lines = [(f"{'ab'[number % 2]}/{number}.png", "ab"[number % 2]) for number in range(6)]
    text = written(root, "list.txt", "".join(f"{path} {label}\n" for path, label in lines))
    table = written(root, "list.csv", "path,label\n" + "".join(f"{path},{label}\n" for path, label in lines))
    for data in (root, text, table):
        records = read_data(data, 0.4, r"(a/0|a/2|b/[35])\.png").records
        groups = {record.path.name: record.group for record in records}
        assert groups == {"0.png": "a/0", "2.png": "a/2", "4.png": "", "1.png": "", "3.png": "b/3", "5.png": "b/5"}
        assert {record.group for record in read_data(data, 0.4, "([ab])/[0-3]").records} == {"a", "b", ""}
    (root / "train-images-idx3-ubyte").write_bytes(idx(np.arange(24, dtype=np.uint8).reshape(4, 2, 3)))
    (root / "train-labels-idx1-ubyte").write_bytes(idx(np.array([5, 7, 5, 7], np.uint8)))
    assert [record.group for record in read_data(root, 0.5, "#([12])").records] == ["", "1", "2", ""]


def test_labelled_files_are_those_that_validate_or_else_all(root: Path) -> None:
    assert len(labelled_files(root)) == 6
    lines = "a/0.png,a,train\nb/1.png,b,train\na/2.png,a,val\nb/3.png,b,val\n"
    table = written(root, "list.csv", f"path,label,split\n{lines}")
    assert [(file.path.name, file.class_name) for file in labelled_files(table)] == [("2.png", "a"), ("3.png", "b")]


def message(data: Path, split: SplitName) -> str:
    with pytest.raises(DataError) as caught:
        labelled_files(data, split)
    return str(caught.value)


def test_a_split_of_a_folder(root: Path) -> None:
    """Every folder is reached by its name in any case, whatever training does with it."""
    for name in ("Train", "Valid", "tEst", "unsorted"):
        shutil.copytree(root / "a", root / "nested" / name / "a")
    data = root / "nested"
    places = {split: {file.path.parents[1].name for file in labelled_files(data, split)} for split in SPLITS}
    assert places == {"train": {"Train"}, "val": {"Valid"}, "test": {"tEst"}}
    assert {file.path.parents[1].name for file in labelled_files(data)} == {"Valid"}
    shutil.rmtree(data / "Valid")
    assert {file.path.parents[1].name for file in labelled_files(data)} == {"tEst"}, "which validates in training"
    assert message(data, "val") == (
        f"expected a split 'val' in {data}, but it has train and test; give one of those to --split, or give data with "
        "that split to --data"
    )
    (data / "TEST").mkdir()
    assert message(data, "test") == (
        f"{data / 'TEST'} and {data / 'tEst'} name the same split; expected one of them; move the other elsewhere"
    )
    shutil.rmtree(data / "tEst")
    assert message(data, "test") == (
        f"the split 'test' of {data} has no labelled images; expected a folder of images per class, or a list"
    )


def test_a_test_folder_needs_no_other_split(root: Path) -> None:
    shutil.copytree(root / "a", root / "nested" / "test" / "a")
    assert len(labelled_files(root / "nested", "test")) == 3


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_a_split_of_a_csv(root: Path, name: str) -> None:
    """The lines that name it; a line that repeats one of another split counts too."""
    lines = f"a/0.png,a,train\nb/1.png,b,train\na/2.png,a,{name}\nb/3.png,b,Test\na/2.png,a,test\n"
    table = written(root, "list.csv", f"path,label,split\n{lines}")
    found = {split: [file.path.name for file in labelled_files(table, split)] for split in SPLITS}
    assert found == {"train": ["0.png", "1.png"], "val": ["2.png"], "test": ["3.png", "2.png"]}
    assert [file.path.name for file in labelled_files(table)] == ["2.png"], "test is kept for --split test"
    assert [(record.path.name, record.split) for record in read_data(table).records] == [
        ("0.png", "train"),
        ("1.png", "train"),
        ("2.png", "val"),
    ]
    written(root, "list.csv", f"path,label,split\n{lines.replace('Test', name).replace('test', name)}")
    assert message(table, "test") == (
        f"expected a split 'test' in {table}, but it has train and val; give one of those to --split, or give data "
        "with that split to --data"
    )


def test_a_split_of_mnist(root: Path) -> None:
    (root / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((4, 2, 3), np.uint8)))
    (root / "train-labels-idx1-ubyte").write_bytes(idx(np.array([5, 7, 5, 7], np.uint8)))
    assert message(root, "test") == (
        f"expected a split 'test' in {root}, but it has train; give one of those to --split, or give data with that "
        "split to --data"
    )
    (root / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((2, 2, 3), np.uint8)))
    (root / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([7, 7], np.uint8)))
    assert [file.class_name for file in labelled_files(root, "train")] == ["5", "7", "5", "7"]
    assert [file.class_name for file in labelled_files(root, "test")] == ["7", "7"]
    assert labelled_files(root, "test")[1].path == root / "t10k-images-idx3-ubyte#1"
    assert "but it has train and test; " in message(root, "val")


@pytest.mark.parametrize("form", ["folder", "list.txt", "list.csv"])
def test_data_without_splits(root: Path, form: str) -> None:
    data = root if form == "folder" else written(root, form, "path,label\na/0.png,a\n")
    for split in SPLITS:
        assert message(data, split) == (
            f"expected a split {split!r} in {data}, but it has no splits of its own; evaluate all of its images "
            "without --split, or give data with that split to --data"
        )


@pytest.mark.parametrize(("folder", "hint"), [("empty", ""), ("loose", " (1 image directly in it)")])
def test_no_labelled_images(root: Path, folder: str, hint: str) -> None:
    (root / folder).mkdir()
    if folder == "loose":
        shutil.copy(root / "a" / "0.png", root / folder)
    with pytest.raises(DataError) as caught:
        labelled_files(root / folder)
    assert str(caught.value) == (
        f"{root / folder} has no labelled images{hint}; expected a folder of images per class, or a list"
    )


@pytest.mark.parametrize("read", [read_data, labelled_files])
def test_data_that_cannot_be_opened(root: Path, read: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def message(data: Path) -> str:
        with pytest.raises(DataError) as caught:
            read(data)  # type: ignore[operator]
        return str(caught.value)

    assert message(root / "nothing") == f"expected a folder or list of images, but {root / 'nothing'} does not exist"
    assert message(Path("/dev/null")) == "expected a folder or list of images, but /dev/null is a device or a socket"

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # simulated, since root may read everything
    table = written(root, "list.csv", "path,label\n")
    assert message(table) == f"{table} cannot be opened (Permission denied)"
