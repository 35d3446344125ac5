"""A whole check: planted faults are found, sound pictures are not accused, and nothing is touched."""

import csv
import hashlib
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support.drawn_photos import encoded, photo, write_photos

from finetune.check.check import Check, check
from finetune.check.clean_list import write_clean_list
from finetune.data.read_data import read_data
from finetune.errors import DataError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes with sides, 12 photos each to train on and 3 for validation, nothing wrong."""
    root = tmp_path / "data"
    for place, start, count in (
        ("train/ants", 0, 12),
        ("train/bees", 20, 12),
        ("val/ants", 40, 3),
        ("val/bees", 50, 3),
    ):
        write_photos(root / place, range(start, start + count))
    return root


def found(checked: Check) -> list[tuple[str, list[str]]]:
    return [
        (finding.kind, [path.relative_to(checked.data).as_posix() for path in finding.paths])
        for finding in checked.findings
    ]


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in paths
    }


def test_sound_data_has_no_findings(data: Path) -> None:
    checked = check(data)
    assert found(checked) == []
    assert checked.to_json() == {
        "data": str(data),
        "files": 30,
        "readable": 30,
        "classes": {"ants": {"train": 12, "val": 3}, "bees": {"train": 12, "val": 3}},
        "findings": [],
    }


def plant(data: Path) -> None:
    """Add faults of single files and of copies."""
    ants, bees = data / "train/ants", data / "train/bees"
    (ants / "empty.jpg").touch()
    (ants / "cut.png").write_bytes(encoded(photo(101), ".png")[:9000])
    sound = encoded(photo(102))
    (ants / "part.jpg").write_bytes(sound[: len(sound) * 6 // 10] + b"\xff\xd9")
    (ants / "ones.jpg").write_bytes(sound[: len(sound) // 2] + b"\xff" * 99 + sound[len(sound) // 2 + 99 :])
    (ants / "black.png").write_bytes(encoded(np.zeros((90, 90, 3), np.uint8), ".png"))
    placeholder = np.full((120, 160, 3), 240, np.uint8)
    cv2.putText(placeholder, "not found", (30, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (90, 90, 90))
    (ants / "placeholder.png").write_bytes(encoded(placeholder, ".png"))
    (ants / "tiny.png").write_bytes(encoded(photo(103, 30, 36), ".png"))
    (ants / "strip.png").write_bytes(encoded(photo(104, 60, 180), ".png"))
    (ants / "gray.png").write_bytes(encoded(cv2.cvtColor(photo(105), cv2.COLOR_BGR2GRAY), ".png"))
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(photo(106)).save(ants / "turned.jpg", exif=exif)
    (ants / "png.jpg").write_bytes(encoded(photo(107), ".png"))
    (ants / "notes.txt").write_text("no picture")
    (ants / "one.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (ants / "two.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (ants / "clip.mov").touch()
    (ants / "film.MOV").write_bytes(b"\0\0\0\x18ftypqt  ")
    for clutter in (ants / "._000.jpg", ants / "@eaDir/THUMB.jpg", data / "train/__MACOSX/000.jpg"):
        clutter.parent.mkdir(exist_ok=True)
        clutter.write_bytes((ants / "000.jpg").read_bytes())
    (data / "train/loose.jpg").write_bytes(encoded(photo(108)))
    (ants / "copy.jpg").write_bytes((ants / "000.jpg").read_bytes())
    (bees / "other.jpg").write_bytes((ants / "001.jpg").read_bytes())
    (data / "val/ants/leak.jpg").write_bytes((ants / "002.jpg").read_bytes())
    (ants / "near.jpg").write_bytes(encoded(photo(3, 75, 100)))
    (bees / "near.jpg").write_bytes(encoded(photo(4), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 40))
    (data / "val/ants/near.jpg").write_bytes(encoded(photo(5), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 40))


def test_every_planted_fault_is_found_and_nothing_else(data: Path) -> None:
    plant(data)
    before = snapshot(data)
    checked = check(data)
    assert found(checked) == [
        ("unreadable", ["train/ants/cut.png"]),
        ("unreadable", ["train/ants/empty.jpg"]),
        ("unreadable", ["train/ants/one.heic"]),
        ("unreadable", ["train/ants/two.HEIC"]),
        ("damaged", ["train/ants/ones.jpg"]),
        ("damaged", ["train/ants/part.jpg"]),
        ("one-colour", ["train/ants/black.png"]),
        ("identical-classes", ["train/ants/001.jpg", "train/bees/other.jpg"]),
        ("identical-sides", ["val/ants/leak.jpg", "train/ants/002.jpg"]),
        ("near-classes", ["train/ants/004.jpg", "train/bees/near.jpg"]),
        ("near-sides", ["val/ants/near.jpg", "train/ants/005.jpg"]),
        ("identical", ["train/ants/000.jpg", "train/ants/copy.jpg"]),
        ("near", ["train/ants/003.jpg", "train/ants/near.jpg"]),
        ("plain", ["train/ants/placeholder.png"]),
        ("tiny", ["train/ants/tiny.png"]),
        ("narrow", ["train/ants/strip.png"]),
        ("colour-model", ["train/ants/gray.png"]),
        ("exif-turn", ["train/ants/turned.jpg"]),
        ("wrong-extension", ["train/ants/png.jpg"]),
        ("passed-over", ["train/ants/clip.mov", "train/ants/film.MOV"]),
        ("passed-over", ["train/ants/notes.txt"]),
        ("loose", ["train/loose.jpg"]),
    ]
    hard = [finding.kind for finding in checked.findings if finding.hard]
    assert hard == [
        *["unreadable"] * 4,
        "damaged",
        "damaged",
        "one-colour",
        "identical-classes",
        "identical-sides",
    ]
    assert snapshot(data) == before


def test_the_clean_list_is_what_training_takes(data: Path, tmp_path: Path) -> None:
    plant(data)
    out = tmp_path / "clean.csv"
    words = write_clean_list(check(data), out)
    assert words == (
        "36 pictures; 13 left out: cannot be read 4, damaged data 2, all one colour 1, identical in different "
        "classes 2, identical in training and validation 1, identical in one class 1, nearly identical in training "
        "and validation 1, nearly identical in one class 1"
    )
    dataset = read_data(out)
    kept = {(record.path.relative_to(data).as_posix(), record.split) for record in dataset.records}
    gone = (
        "cut.png",
        "empty.jpg",
        "part.jpg",
        "ones.jpg",
        "black.png",
        "001.jpg",
        "copy.jpg",
        "002.jpg",
        "005.jpg",
        "near.jpg",
    )
    expected = {
        path.relative_to(data).as_posix() for path in data.glob("*/*s/[!.]*") if path.suffix in (".jpg", ".png")
    }
    expected -= {f"train/ants/{name}" for name in gone} | {"train/bees/other.jpg"}
    assert kept == {(path, path.split("/")[0]) for path in expected}
    assert check(out).of("identical") == ()


def test_without_sides_the_list_leaves_the_split_to_training(tmp_path: Path) -> None:
    for number, name in enumerate((" ants", "bees, wild")):
        write_photos(tmp_path / "data" / name, range(20 * number, 20 * number + 12))
    checked = check(tmp_path / "data")
    assert found(checked) == []
    write_clean_list(checked, tmp_path / "clean.csv")
    with (tmp_path / "clean.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"path", "label"}
    trained, listed = read_data(tmp_path / "data"), read_data(tmp_path / "clean.csv")
    assert listed.class_names == trained.class_names == (" ants", "bees, wild")
    assert [record[1:] for record in listed.records] == [record[1:] for record in trained.records]
    assert checked.counts[" ants"] == {
        side: sum(record.label == 0 and record.split == side for record in trained.records) for side in ("train", "val")
    }


def test_a_file_that_a_list_names_twice_stays_once(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", range(8))
    lines = [f"photos/{name:03}.jpg,{'a' if name % 2 else 'b'}" for name in [*range(8), 0]]
    (tmp_path / "twice.csv").write_text("\n".join(["path,label", *lines]))
    checked = check(tmp_path / "twice.csv")
    assert checked.of("identical") == ()
    assert write_clean_list(checked, tmp_path / "clean.csv") == "8 pictures; 0 left out"
    (tmp_path / "both.csv").write_text("\n".join(["path,label", *lines, "photos/000.jpg,a"]))
    (finding,) = check(tmp_path / "both.csv").of("identical-classes")
    assert finding.paths == (tmp_path / "photos/000.jpg",) * 2
    assert finding.message == "2 pictures in 'a' and 'b'"


def test_a_folder_that_training_refuses_is_checked(tmp_path: Path) -> None:
    write_photos(tmp_path / "data/train/ants", range(12))
    write_photos(tmp_path / "data/val/Ants", range(20, 23))
    (tmp_path / "data/train/beetles").mkdir()
    checked = check(tmp_path / "data")
    assert [(finding.kind, finding.message) for finding in checked.findings] == [
        ("similar-names", "classes 'Ants', 'ants'"),
        ("empty-class", "class 'beetles' has no pictures"),
        ("class-one-side", "class 'Ants' has no picture in training"),
        ("class-one-side", "class 'ants' has no picture in validation"),
    ]


def test_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected class folders with pictures in .*, found none; make a folder"):
        check(tmp_path)
    with pytest.raises(DataError, match="none does not exist"):
        check(tmp_path / "none")
    write_photos(tmp_path / "loose", range(3))
    with pytest.raises(DataError, match=r"found none \(3 pictures directly in it\); make a folder per class"):
        check(tmp_path / "loose")
    for place in ("x/train", "x/val", "y/train", "y/val"):
        write_photos(tmp_path / "nest" / place, range(1))
    with pytest.raises(DataError, match="nest holds data sets, not classes"):
        check(tmp_path / "nest")


def test_names_of_any_bytes(tmp_path: Path) -> None:
    write_photos(tmp_path / "data/ants", range(12))
    write_photos(tmp_path / "data/bees", range(20, 32))
    odd = Path(os.fsdecode(os.fsencode(tmp_path / "data/ants") + b"/a\xff\n.jpg"))
    odd.write_bytes((tmp_path / "data/ants/000.jpg").read_bytes())
    checked = check(tmp_path / "data")
    assert [finding.paths for finding in checked.of("identical")] == [(tmp_path / "data/ants/000.jpg", odd)]
    assert json.loads(json.dumps(checked.to_json()))["findings"]
    write_clean_list(checked, tmp_path / "clean.csv")
    assert len(read_data(tmp_path / "clean.csv").records) == 24


def test_the_set_of_the_well_known_tutorial(shared: Path) -> None:
    checked = check(shared / "data/hymenoptera")
    assert checked.to_json()["readable"] == 398
    assert found(checked) == [
        ("plain", ["train/ants/imageNotFound.gif"]),
        ("narrow", ["train/ants/662541407_ff8db781e7.jpg"]),
        ("colour-model", ["val/bees/290082189_f66cb80bfc.jpg"]),
    ]
