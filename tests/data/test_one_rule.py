"""Folders, lists and MNIST's files by one rule: the order of classes, splits, and images that add up."""

import logging
import re
import shutil
from pathlib import Path

import pytest
from support.runs import started
from support.written_files import image, write_files

from finetune.check.listing import list_files
from finetune.data.dataset import Dataset
from finetune.data.read_data import labelled_files, read_data
from finetune.errors import DataError


def write_list(root: Path, name: str) -> Path:
    """Write a list of the images in the class folders of `root`, in the order of their names, and return it."""
    rows = [(path.relative_to(root).as_posix(), path.parent.name) for path in sorted(root.glob("*/*.png"))]
    if name.endswith(".csv"):
        text = "path,label\n" + "".join(f"{path},{label}\n" for path, label in rows)
    else:
        text = "".join(f"{path} {label}\n" for path, label in rows)
    (root / name).write_text(text)
    return root / name


@pytest.mark.parametrize(
    "names",
    [
        ("0", "1", "2", "10"),
        ("00", "1", "02", "10"),
        ("7", "13", "100"),
        ("2", "10", "x"),
        ("class1", "class10", "class2"),
        ("-1", "0", "1"),
        ("1234567890", "99", "100"),
    ],
)
def test_one_order_of_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    """From folders, lists, the manifest of a run, and for `check`: by value only if all are numbers of usual length."""
    root = write_files(
        tmp_path / "data", {f"{name}/{i}.png": 9 * n + i for n, name in enumerate(names) for i in (0, 1)}
    )
    folder = read_data(root)
    expected = sorted(names, key=int) if names[0] in ("0", "00", "7") else sorted(names)
    assert folder.class_names == tuple(expected)
    run = started(tmp_path / "run", {}, folder)
    assert read_data(run.path / "manifest.csv").class_names == folder.class_names
    for data in (root, write_list(root, "list.csv"), write_list(root, "list.txt")):
        assert list_files(data).class_names == read_data(data).class_names == folder.class_names
        assert sorted(read_data(data).records) == sorted(folder.records)


def test_a_manifest_gives_the_same_dataset(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {f"{name}/{i}.png": 9 * name + i for name in (0, 1, 2, 10) for i in range(4)})
    run = started(tmp_path / "run", {}, read_data(root))
    assert read_data(run.path / "manifest.csv") == read_data(root)


TRAIN = {f"train/{name}/{i}.png": ord(name) + i for name in "ab" for i in range(0, 8, 2)}


@pytest.mark.parametrize("name", ["test", "Test"])
def test_test_images_without_labels(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Kaggle's layout; they are evaluated neither, because nobody knows their classes."""
    root = write_files(tmp_path / "data", TRAIN | {f"{name}/{i}.png": 50 + i for i in range(5)})
    with caplog.at_level(logging.INFO):
        dataset = read_data(root)
    assert (len(dataset.records), dataset.class_names, dataset.val_fraction) == (8, ("a", "b"), 0.2)
    assert caplog.messages == [f"not used, because they are not in a class folder: 5 images in {root / name}"]
    assert {file.path.parents[1].name for file in labelled_files(root)} == {"train"}
    with pytest.raises(DataError, match=r"^the split 'test' of .* has no labelled images; "):
        labelled_files(root, "test")


@pytest.mark.parametrize("name", ["test1", "testing", "test_set", "validate", "Test2"])
def test_train_next_to_a_folder_called_nearly_like_a_split(name: str, tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", TRAIN | {f"{name}/{i}.png": 50 + i for i in range(5)})
    with pytest.raises(
        DataError, match=r"holds data sets, not classes: no images, but the folders 'a', 'b', are in 't"
    ):
        read_data(root)


def two_classes(tmp_path: Path) -> Path:
    return write_files(tmp_path / "data", {f"{name}/{i}.png": ord(name) + i for name in "ab" for i in range(0, 8, 2)})


@pytest.mark.parametrize("target", [".", "..", "../data", "{root}", "a/.."])
@pytest.mark.parametrize("name", ["self", "val", "train"])
def test_a_link_to_the_data_is_not_a_class_or_split(name: str, target: str, tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    expected = read_data(root)
    (root / name).symlink_to(target.format(root=root), target_is_directory=True)
    assert read_data(root) == expected
    assert len(labelled_files(root)) == 8
    assert list_files(root).class_names == ("a", "b")


def test_a_link_within_a_split(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", TRAIN)
    for name, target in {"here": ".", "up": "..", "data": str(root)}.items():
        (root / "train" / name).symlink_to(target)
    assert read_data(root).class_names == ("a", "b")


def logged(caplog: pytest.LogCaptureFixture) -> int:
    """Return how many images the log says are not used."""
    counts = (re.search(r"(\d+) images?\b|they repeat others: (\d+)", line) for line in caplog.messages)
    return sum(int(found[1] or found[2]) for found in counts if found)


def found_images(root: Path) -> int:
    return sum(path.suffix in (".png", ".heic") for path in root.rglob("*") if not path.name.startswith("."))


LAYOUTS: dict[str, dict[str, int | bytes]] = {
    "classes": {"a/1.png": 1, "a/2.png": 2, "b/x/3.png": 3, "b/4.png": 4, "b/bad.png": b"", "top.png": 5},
    "splits": TRAIN | {"val/a/1.png": 80, "test/a/1.png": 81, "test/b/2.png": 82, "top.png": 83, "train/loose.png": 84},
    "Kaggle": TRAIN | {"test/1.png": 80, "test/2.png": 81, "test/.hidden.png": 82},
    "more folders": TRAIN | {"test/a/1.png": 80, "test/2.png": 81, "more/a/1.png": 82, "more/2.png": 83},
    "formats": {
        "a/1.png": 1,
        "a/2.png": 2,
        "b/3.png": 3,
        "b/4.png": 4,
        "b/5.heic": b"\0\0\0\x18ftypheic",
        "b/n.txt": b"n",
    },
    "train alone": TRAIN | {"1.png": 80, "train/2.png": 81, "train/a/cut.png": image(99)[:30]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_images_of_a_folder_add_up(layout: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every image is used, skipped with a reason, or counted in the log."""
    root = write_files(tmp_path / "data", LAYOUTS[layout])
    with caplog.at_level(logging.INFO):
        dataset = read_data(root)
    assert found_images(root) == len(dataset.records) + len(dataset.skipped) + logged(caplog)


def test_the_lines_of_a_csv_add_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_files(tmp_path / "data", TRAIN | {"bad.png": b""})
    rows = [(path, path.split("/")[1], "train") for path in TRAIN]
    rows += [(path, label, "test") for path, label, _ in rows[:3]]
    rows += [("bad.png", "a", "train"), ("gone.png", "b", "val"), *rows[:2], ("train/a/0.png", "a", "val")]
    (root / "list.csv").write_text("path,label,split\n" + "".join(",".join(row) + "\n" for row in rows))
    with caplog.at_level(logging.INFO):
        dataset = read_data(root / "list.csv")
    assert (len(dataset.records), len(dataset.skipped), logged(caplog)) == (9, 2, 3 + 2)
    assert len(rows) == 9 + 2 + 3 + 2


def test_lines_that_say_test_never_validate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Three lines to train on, one to validate and two to test in each class, as folders and as a CSV."""
    splits = ("train", "train", "train", "val", "test", "test")
    files = [(f"{split}/{name}/{i}.png", name, split) for name in "ab" for i, split in enumerate(splits)]
    root = write_files(tmp_path / "data", {path: number for number, (path, _, _) in enumerate(files)})
    (root / "list.csv").write_text("path,label,split\n" + "".join(",".join(row) + "\n" for row in files))
    with caplog.at_level(logging.INFO):
        both = [read_data(data) for data in (root, root / "list.csv")]
    assert sorted(both[0].records) == sorted(both[1].records)
    assert [sum(record.split == split for record in both[0].records) for split in ("train", "val")] == [6, 2]
    assert caplog.messages == [
        f"not used in training: the split test of {data}, 4 images (evaluate --data {data} --split test)"
        for data in (root, root / "list.csv")
    ]
    assert len(labelled_files(root / "list.csv", "test")) == len(labelled_files(root, "test")) == 4


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
        (b"PK\x03\x04\0", "a ZIP archive"),
        (b"\x1f\x8b\x08\0", "a gzip archive"),
        (b"SQLite format 3\0", "an SQLite database"),
        (None, "an LMDB database"),
    ],
)
def test_what_holds_images_in_another_way(content: bytes | None, kind: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    if content is None:
        write_files(data, {"data.mdb": b"\0", "lock.mdb": b"\0"})
    else:
        data.write_bytes(content)
    for read in (read_data, labelled_files):
        with pytest.raises(DataError) as caught:
            read(data)  # type: ignore[operator]
        assert str(caught.value) == (
            f"expected a folder or list of images, but {data} is {kind}; unpack it into image files, in a folder per "
            "class"
        )


def test_a_list_of_hdf5_files(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("train.h5\n")
    with pytest.raises(
        DataError, match=r"line 1: expected a path .*, found only 'train.h5'; HDF5 files are not read, "
    ):
        read_data(tmp_path / "list.txt")


WRITTEN = {
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 with CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "backslashes": lambda text: text.replace("/", "\\").encode(),
    "Windows": lambda text: text.replace("/", "\\").replace("\n", "\r\n").encode("utf-8-sig"),
}


@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
@pytest.mark.parametrize("system", WRITTEN)
def test_lists_of_other_systems(name: str, system: str, tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    expected: Dataset = read_data(root)
    data = write_list(root, name)
    data.write_bytes(WRITTEN[system](data.read_text()))
    assert sorted(read_data(data).records) == sorted(expected.records)


@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
def test_a_list_in_another_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its paths are relative to the current folder if nothing is next to it: for both kinds of lists."""
    root = two_classes(tmp_path)
    monkeypatch.chdir(root)
    (tmp_path / "lists").mkdir()
    data = Path(shutil.move(write_list(root, name), tmp_path / "lists"))
    assert len(read_data(data).records) == 8


def test_a_list_that_begins_like_utf_16(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes("path,label\n".encode("utf-16") + b"x")
    with pytest.raises(DataError, match=r"list\.csv, line 2: it begins like UTF-16, but is damaged; save the list in"):
        read_data(tmp_path / "list.csv")
