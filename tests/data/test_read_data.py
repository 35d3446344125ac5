"""`read_data` and `labelled_files`: every form of data is recognized, and gives the same records."""

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from support.encoded_images import encode, idx

from finetune.choices import SplitName
from finetune.data import digests as digests_module
from finetune.data.read_data import all_files, labelled_files, read_data
from finetune.errors import DataError, UsageError

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


def with_splits(root: Path, form: str, **numbers: Sequence[int]) -> Path:
    """Give the images with these numbers to each split, and return the data: a folder, a CSV or MNIST's files."""
    paths = {number: root / "ab"[number % 2] / f"{number}.png" for number in range(6)}
    if form == "csv":
        lines = [f"{paths[n]},{'ab'[n % 2]},{split}\n" for split, own in numbers.items() for n in own]
        return written(root, "list.csv", "path,label,split\n" + "".join(sorted(lines)))
    for split, own in numbers.items():
        if form == "folder":
            for number in own:
                place = root / "data" / split / "ab"[number % 2]
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(paths[number], place)
        else:
            pixels = np.stack([np.full((2, 3), number, np.uint8) for number in own])
            prefix = "t10k" if split == "test" else "train"
            (root / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pixels))
            (root / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.array(own, np.uint8) % 2))
    return root / "data" if form == "folder" else root


@pytest.mark.parametrize("form", ["folder", "csv", "mnist"])
def test_training_never_uses_test(
    root: Path, form: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without validation images, the others are split as if there was no test split, and only they are read."""
    read: list[Path] = []
    actual = digests_module.read_bytes
    monkeypatch.setattr(digests_module, "read_bytes", lambda path: (read.append(path), actual(path))[1])
    data = with_splits(root, form, train=range(4), test=(4, 5))
    with caplog.at_level(logging.INFO):
        found = read_data(data, 0.5)
    assert caplog.messages[:1] == [
        f"not used in training: the split test of {data}, 2 images (evaluate --data {data} --split test)"
    ]
    assert sorted(read) == sorted(record.path for record in found.records)
    assert (len(found.records), found.val_fraction) == (4, 0.5)
    assert Counter((record.label, record.split) for record in found.records) == {
        (label, split): 1 for label in (0, 1) for split in ("train", "val")
    }
    assert [len(labelled_files(data, split)) for split in (None, "train", "test")] == [2, 4, 2]
    assert labelled_files(data) == labelled_files(data, "test")
    assert Counter(file.split for file in all_files(data)) == {None: 4, "test": 2}


@pytest.mark.parametrize("form", ["folder", "csv"])
def test_validation_images_of_the_data_validate(root: Path, form: str) -> None:
    data = with_splits(root, form, train=(0, 1), val=(2, 3), test=(4, 5))
    found = read_data(data, 0.9)
    assert found.val_fraction is None
    assert {record.path.name: record.split for record in found.records} == {
        **dict.fromkeys(("0.png", "1.png"), "train"),
        **dict.fromkeys(("2.png", "3.png"), "val"),
    }
    assert {file.path.name for file in labelled_files(data)} == {"2.png", "3.png"}
    assert {file.path.name: file.split for file in all_files(data)} == {
        f"{number}.png": ("train", "val", "test")[number // 2] for number in range(6)
    }


@pytest.mark.parametrize("form", ["folder", "csv", "mnist"])
def test_data_that_only_names_training_is_split(root: Path, form: str) -> None:
    data = with_splits(root, form, train=range(6))
    found = read_data(data, 0.3)
    assert found.val_fraction == 0.3
    assert Counter((record.label, record.split) for record in found.records) == {
        (label, split): count for label in (0, 1) for split, count in (("train", 2), ("val", 1))
    }
    assert len(labelled_files(data)) == 6


@pytest.mark.parametrize("form", ["folder", "csv", "mnist"])
def test_a_class_may_be_in_test_only(root: Path, form: str) -> None:
    data = with_splits(root, form, train=(0, 2, 1, 3), test=(4,))
    assert len(read_data(data).class_names) == 2
    if form == "mnist":
        (data / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([7], np.uint8)))
    elif form == "csv":
        data.write_text(data.read_text().replace(",a,test", ",c,test"))
    else:
        (data / "test" / "a").rename(data / "test" / "c")
    assert len(read_data(data).class_names) == 2
    assert [file.class_name for file in labelled_files(data)] == ["7" if form == "mnist" else "c"]


def test_groups_of_a_csv_with_test_lines(root: Path) -> None:
    """Image 4 is of the group of 0 and 2, but in test: the lines to train on are split as if it was not there."""
    groups = {0: "p", 2: "p", 4: "p", 1: "q", 3: "r", 5: "s"}
    lines = {n: f"{'ab'[n % 2]}/{n}.png,{'ab'[n % 2]},{'test' if n == 4 else 'train'},{g}" for n, g in groups.items()}
    table = written(root, "list.csv", "\n".join(["path,label,split,group", *lines.values()]))
    found = read_data(table, 0.3)
    assert {record.path.name for record in found.records if record.split == "train"} >= {"0.png", "2.png"}
    assert Counter(record.split for record in found.records) == {"train": 4, "val": 1}
    assert (found.val_fraction, found.divided_groups()) == (0.3, {})
    assert [file.group for file in labelled_files(table)] == ["p"]


def test_images_to_evaluate_without_splits_are_all(root: Path) -> None:
    assert len(labelled_files(root)) == len(all_files(root)) == 6


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
    assert {file.path.parents[1].name for file in labelled_files(data)} == {"tEst"}
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
    def message(data: Path, kind: type[Exception] = DataError) -> str:
        with pytest.raises(kind) as caught:
            read(data)  # type: ignore[operator]
        return str(caught.value)

    expected = "expected a folder or list of images, but"
    nothing, image = root / "nothing", root / "a" / "0.png"
    assert message(nothing, UsageError) == f"{expected} {nothing} does not exist; check its name"
    assert message(image, UsageError) == f"{expected} {image} is an image; name the folder of the classes"
    assert message(Path("/dev/null")) == "expected a folder or list of images, but /dev/null is a device or a socket"

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    table = written(root, "list.csv", "path,label\n")
    monkeypatch.setattr(Path, "open", refuse)  # simulated, since root may read everything
    assert message(table) == f"{table} cannot be opened (Permission denied)"
