"""Folders of images: classes, splits, nested folders, clutter, links, and what cannot be trained on."""

import hashlib
import logging
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.encoded_images import GRAY, RGB, encode
from support.written_files import write_files

from finetune.data.dataset import Dataset
from finetune.data.folder import image_files, read_folder
from finetune.data.image_kinds import IMAGE_KINDS
from finetune.data.read_data import labelled_files
from finetune.errors import DataError


def two_classes(tmp_path: Path, **more: int | bytes) -> Path:
    files: dict[str, int | bytes] = {f"{name}/{i}.png": i + 10 * (name == "b") for name in "ab" for i in range(5)}
    return write_files(tmp_path / "data", files | more)


def rows(dataset: Dataset, root: Path) -> list[tuple[str, int, str]]:
    return [(record.path.relative_to(root).as_posix(), record.label, record.split) for record in dataset.records]


def names(dataset: Dataset) -> list[str]:
    return sorted(record.path.name for record in dataset.records)


def test_a_folder_per_class(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    dataset = read_folder(root)
    assert dataset.class_names == ("a", "b")
    assert [(path, label) for path, label, _ in rows(dataset, root)] == [
        (f"{name}/{i}.png", label) for label, name in enumerate("ab") for i in range(5)
    ]
    assert [record.split for record in dataset.records].count("val") == 2  # a fifth of each class
    assert dataset.skipped == ()
    for record in dataset.records:
        assert record.digest == hashlib.sha256(record.path.read_bytes()).hexdigest()
    assert read_folder(root) == dataset


def test_nested_images_belong_to_their_top_folder(tmp_path: Path) -> None:
    root = two_classes(tmp_path, **{"a/2019/may/x.png": 77})
    assert ("a/2019/may/x.png", 0) in [row[:2] for row in rows(read_folder(root), root)]
    assert read_folder(root).class_names == ("a", "b")


@pytest.mark.parametrize(
    ("train", "val"),
    [("train", name) for name in ("val", "valid", "validation")] + [("Train", "Val"), ("TRAIN", "Validation")],
)
def test_train_and_validation_folders_are_respected(tmp_path: Path, train: str, val: str) -> None:
    files = {f"{train}/{name}.png": ord(name[0]) for name in ("a/1", "b/2", "c/5")}
    files |= {f"{val}/b/3.png": 3, f"{val}/b/4.png": 4}
    root = write_files(tmp_path / "data", files)
    dataset = read_folder(root, val_fraction=0.9)
    assert dataset.class_names == ("a", "b", "c")
    assert sorted(rows(dataset, root)) == sorted([
        (f"{train}/a/1.png", 0, "train"), (f"{train}/b/2.png", 1, "train"), (f"{train}/c/5.png", 2, "train"),
        (f"{val}/b/3.png", 1, "val"), (f"{val}/b/4.png", 1, "val"),
    ])  # fmt: skip
    assert dataset.val_fraction is None
    assert [found.path.name for found in labelled_files(root)] == ["3.png", "4.png"]


def test_other_folders_next_to_two_splits_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders = ("train", "valid", "Test", "unsorted", "__MACOSX")
    files = {f"{folder}/{name}/{folder}.png": ord(name) for folder in folders for name in "ab"}
    root = write_files(tmp_path / "data", files)
    with caplog.at_level(logging.INFO):
        assert names(read_folder(root)) == ["train.png"] * 2 + ["valid.png"] * 2
    assert caplog.messages == [
        f"not used in training: the split test of {root}, 2 images (evaluate --data {root} --split test)",
        f"not used, because the folder is not a split (pass it to evaluate --data): 2 images in {root / 'unsorted'}",
    ]
    assert {found.class_name for found in labelled_files(root / "Test")} == {"a", "b"}


@pytest.mark.parametrize("pair", [("Train", "train"), ("val", "validation"), ("Valid", "val")])
def test_two_folders_for_one_split(tmp_path: Path, pair: tuple[str, str]) -> None:
    files = {f"{folder}/{name}/1.png": ord(name) for folder in ("train", "val", *pair) for name in "ab"}
    root = write_files(tmp_path / "data", files)
    with pytest.raises(DataError) as caught:
        read_folder(root)
    assert str(caught.value) == (
        f"{root / pair[0]} and {root / pair[1]} name the same split; expected one of them; move the other elsewhere"
    )


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            [f"{data}/{split}/a/1.png" for data in ("flies", "bees") for split in ("train", "val")],
            "no images, but the folders 'train', 'val', are in 'bees', 'flies'; pass {root}/bees",
        ),
        (
            ["testing/a/1.png", "testing/b/1.png", *(f"training/{name}/1.png" for name in "abcde")],
            "no images, but the folders 'a', 'b', are in 'testing', 'training'; "
            "rename {root}/training to train and the other split to val or test",
        ),
        (
            [f"{data}/{split}/1.png" for data in ("flies", "bees") for split in ("test_1", "test_2")],
            "no images, but the folders 'test_1', 'test_2', are in 'bees', 'flies'; pass {root}/bees",
        ),
        (
            ["train/a/1.png", "train/b/1.png", "test1/1.png"],
            "no images, but the folders 'a', 'b', are in 'train'; "
            "rename {root}/train to train and the other split to val or test",
        ),
    ],
    ids=["two data sets", "splits of other names", "two test sets", "Kaggle's test1"],
)
def test_data_sets_are_not_classes(tmp_path: Path, files: list[str], found: str) -> None:
    root = write_files(tmp_path / "nest", {name: number for number, name in enumerate(files)})
    with pytest.raises(DataError) as caught:
        read_folder(root)
    assert str(caught.value) == (
        f"{root} holds data sets, not classes: {found.replace('{root}', str(root))}; "
        "if they are classes, list their images in a CSV"
    )
    with pytest.raises(DataError, match="holds data sets, not classes"):
        labelled_files(root)


def test_folds_may_be_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """So may sexes of several species: names do not decide it, so there is a warning and no error."""
    files = [f"fold{number}/{name}/1.png" for number in range(5) for name in "abcd"]
    root = write_files(tmp_path / "nest", {name: number for number, name in enumerate(files)})
    assert read_folder(root).class_names == tuple(f"fold{number}" for number in range(5))
    assert caplog.messages == [
        f"{root}: no images, but the folders 'a', 'b', 'c' and 1 more, are in 'fold0', 'fold1', 'fold2' and 2 more; "
        f"if those are the classes, pass {root}/fold0"
    ]


def test_classes_of_nested_folders_are_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One folder in each class, different folders in each, or images next to the folders: people sort like that."""
    for number, inner in enumerate((("images/1", "images/2"), ("{}1/1", "{}2/2"), ("x/1", "y/2", "3"))):
        files = {f"{name}/{path.format(name)}.png": ord(name) + 9 * i for name in "ab" for i, path in enumerate(inner)}
        assert read_folder(write_files(tmp_path / str(number), files)).class_names == ("a", "b")
    assert caplog.messages == []


def test_the_classes_may_be_in_a_train_folder_alone(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {f"train/{name}/{i}.png": ord(name) + 9 * i for name in "ab" for i in (0, 1)})
    dataset = read_folder(root)
    assert dataset.class_names == ("a", "b")
    assert {record.split for record in dataset.records} == {"train", "val"}, "and they are split by their bytes"


def test_classes_may_be_called_train_or_val(tmp_path: Path) -> None:
    root = write_files(
        tmp_path / "data", {f"{name}/{i}.png": i + ord(name[0]) for name in ("train", "bus") for i in (0, 1)}
    )
    assert read_folder(root).class_names == ("bus", "train")


def test_a_class_only_in_validation(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {"train/ants/1.png": 1, "train/bees/2.png": 2, "val/bee/3.png": 3})
    with pytest.raises(DataError) as caught:
        read_folder(root)
    assert str(caught.value) == (
        f"class 'bee' is in {root / 'val'} but not in {root / 'train'} (did you mean bees?); "
        "every class needs images to train on"
    )


def test_validation_folder_without_images(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {"train/a/1.png": 1, "train/b/2.png": 2, "val/b/words.txt": b"words"})
    with pytest.raises(DataError, match=r"^no image is left for validation; add images: .*, or some for validation$"):
        read_folder(root)


def test_hidden_files_and_other_files_are_ignored(tmp_path: Path) -> None:
    clutter = {
        ".git/x.png": 50, "a/.hidden.png": 51, "a/.cache/y.png": 52, "top.png": 53, "a/empty": b"",
        "a/notes.txt": b"words", "a/Thumbs.db": b"\xd0\xcf\x11\xe0", "README.md": b"words",
        "__MACOSX/a/._1.png": b"\0\5\x16\7", "a/._1.png": b"\0\5\x16\7", "a/__MACOSX/1.png": 54,
        "@eaDir/1.png/SYNOPHOTO_THUMB_M.png": 55, "b/@eaDir/1.png/SYNOPHOTO_THUMB_M.png": 56,
    }  # fmt: skip
    root = two_classes(tmp_path, **clutter)
    dataset = read_folder(root)
    assert names(dataset) == sorted([f"{i}.png" for i in range(5)] * 2)
    assert dataset.skipped == ()
    assert len(labelled_files(root)) == 10


def test_images_are_found_by_extension_in_any_case_or_by_content(tmp_path: Path) -> None:
    files = {"a/nameless": 60, "a/strange.dat": 61, "a/UPPER.PNG": 62, "a/really.jpg": encode(RGB, "WEBP")}
    assert {"nameless", "strange.dat", "UPPER.PNG", "really.jpg"} <= set(
        names(read_folder(two_classes(tmp_path, **files)))
    )


def test_unreadable_images_are_skipped_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    whole = encode(GRAY, "JPEG")
    root = two_classes(tmp_path, **{"a/cut.jpg": whole[:-40], "a/words.png": b"words", "b/empty.gif": b""})
    (root / "b" / "gone.png").symlink_to("nowhere.png")
    for name, brand in {"a/phone.HEIC": b"heic", "a/nameless": b"avif", "b/x.jpg": b"mif1", "b/film": b"qt  "}.items():
        (root / name).write_bytes(b"\0\0\0\x18ftyp" + brand)
    (root / "b" / "really.heic").write_bytes(encode(RGB, "JPEG"))
    dataset = read_folder(root)
    assert len(dataset.records) == 11
    assert {skipped.path.name: skipped.reason for skipped in dataset.skipped} == {
        "cut.jpg": "the JPEG is cut short (no end marker)",
        "words.png": f"not an image: expected {', '.join(IMAGE_KINDS)}; the file begins with b'words'",
        "empty.gif": "the file is empty",
        "gone.png": "cannot be opened (No such file or directory)",
        "phone.HEIC": "reading HEIC needs pi-heif; pip install 'pi-heif>=1.1', or convert the image to JPEG",
        "nameless": "the AVIF header is damaged (Failed to decode image: Truncated data)",
        "x.jpg": "reading HEIC needs pi-heif; pip install 'pi-heif>=1.1', or convert the image to JPEG",
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a/1.png": 1}, "expected at least two class folders in {root}, found only 'a'; make a folder per class"),
        (
            {"1.png": 1},
            "expected at least two class folders in {root}, found none (1 image directly in it); "
            "make a folder per class",
        ),
        (
            {f"{number}.png": number for number in range(70)} | {"a/notes.txt": b""},
            "expected at least two class folders in {root}, found only 'a' (70 images directly in it); "
            "make a folder per class",
        ),
        (
            {f"ants_bees/{split}/{name}/1.png": 1 for split in ("train", "val") for name in "ab"},
            "expected at least two class folders in {root}, found only 'ants_bees' (did you mean {root}/ants_bees?); "
            "make a folder per class",
        ),
        (
            {"train/a/1.png": 1, "val/b/2.png": 2},
            "expected at least two class folders in {root}/train, found only 'a'; make a folder per class",
        ),
        ({"a/1.png": 1, "b/notes.txt": b""}, "class 'b' has no images: {root}/b; add images or remove the folder"),
        (
            {"a/1.png": b"x", "b/2.png": b""},
            "no readable image was found; 2 skipped, the first: {root}/a/1.png: not an image: "
            "expected JPEG, PNG, GIF, WebP, BMP, TIFF, PNM, JPEG 2000, AVIF, HEIF; the file begins with b'x'",
        ),
        (
            {"a/1.png": 1, "a/2.png": 2, "b/3.png": b""},
            "no readable image to train on for class 'b'; add images or remove the class; "
            "1 skipped, the first: {root}/b/3.png: the file is empty",
        ),
        (
            {"a/1.png": 1, "b/2.png": 2},
            "no image is left for validation; add images: at least two per class, or some for validation",
        ),
    ],
)
def test_folders_that_cannot_be_trained_on(tmp_path: Path, files: dict[str, int | bytes], message: str) -> None:
    root = write_files(tmp_path / "data", files)
    with pytest.raises(DataError) as caught:
        read_folder(root)
    assert str(caught.value) == message.replace("{root}", str(root))


def test_pipes_are_not_images(tmp_path: Path) -> None:
    """Opening one would wait for a writer."""
    root = write_files(tmp_path / "data", {"a.png": 1})
    os.mkfifo(root / "pipe.png")
    assert list(image_files(root)) == [root / "a.png"]


def test_links(tmp_path: Path) -> None:
    """Linked images and folders count; loops end, and a link to a parent folder adds no images of other classes."""
    root = two_classes(tmp_path)
    elsewhere = write_files(tmp_path / "elsewhere", {"far.png": 90, "class/near.png": 91, "class/nearer.png": 92})
    (root / "a" / "linked.png").symlink_to(elsewhere / "far.png")
    (root / "c").symlink_to(elsewhere / "class")
    for place, target in {"a/self": ".", "a/up": "..", "b/top": root, "b/other": "../b"}.items():
        (root / place).symlink_to(target)
    dataset = read_folder(root)
    assert dataset.class_names == ("a", "b", "c")
    assert [record.label for record in dataset.records] == [0] * 6 + [1] * 5 + [2] * 2


def test_the_order_of_files_does_not_depend_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_files(tmp_path / "data", dict.fromkeys(("b.png", "a.png", "z/1.png", "y/2.png", "B.png"), 1))
    expected = ["B.png", "a.png", "b.png", "y/2.png", "z/1.png"]
    assert [path.relative_to(root).as_posix() for path in image_files(root)] == expected
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda place: nullcontext(list(scandir(place))[::-1]))
    assert [path.relative_to(root).as_posix() for path in image_files(root)] == expected
