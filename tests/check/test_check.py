"""A whole check: planted faults are found, sound images are not accused, and nothing is touched."""

import hashlib
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from support.drawn_photos import write_photos
from support.planted_faults import found, plant_faults, write_sound_data

from finetune.check.check import check
from finetune.check.clean_list import write_clean_list
from finetune.data.read_data import all_files, read_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_sound_data(tmp_path / "data")
    return tmp_path / "data"


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


def test_every_planted_fault_is_found_and_nothing_else(data: Path) -> None:
    plant_faults(data)
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


def test_a_folder_that_training_refuses_is_checked(tmp_path: Path) -> None:
    write_photos(tmp_path / "data/train/ants", range(12))
    write_photos(tmp_path / "data/val/Ants", range(20, 23))
    (tmp_path / "data/train/beetles").mkdir()
    checked = check(tmp_path / "data")
    assert [(finding.kind, finding.message) for finding in checked.findings] == [
        ("similar-names", "classes 'Ants', 'ants'"),
        ("empty-class", "class 'beetles' has no images"),
        ("class-one-side", "class 'Ants' has no images in training"),
        ("class-one-side", "class 'ants' has no images in validation"),
    ]


@pytest.mark.parametrize("form", ["folder", "list"])
def test_images_that_training_leaves_for_evaluation_are_checked(tmp_path: Path, form: str) -> None:
    """A copy of a training image in test is found, and a clean list keeps the one in test."""
    data, clean = tmp_path / "data", tmp_path / "clean.csv"
    for number, name in enumerate(("ants", "bees")):
        write_photos(data / "train" / name, range(20 * number, 20 * number + 15))
        write_photos(data / "test" / name, range(20 * number + 15, 20 * number + 18))
    shutil.copy(data / "train/ants/000.jpg", data / "test/ants/leak.jpg")
    (data / "train/bees/empty.jpg").touch()
    if form == "list":
        rows = [f"{path},{path.parent.name},{path.parts[-3]}\n" for path in sorted(data.glob("*/*/*"))]
        (tmp_path / "list.csv").write_text("path,label,split\n" + "".join(rows))
    checked = check(data if form == "folder" else tmp_path / "list.csv")
    assert [
        (finding.kind, [path.relative_to(data).as_posix() for path in finding.paths]) for finding in checked.findings
    ] == [
        ("unreadable", ["train/bees/empty.jpg"]),
        ("identical-sides", ["test/ants/leak.jpg", "train/ants/000.jpg"]),
    ]
    assert checked.to_json()["classes"] == {
        "ants": {"train": 15, "val": 0, "test": 4},
        "bees": {"train": 15, "val": 0, "test": 3},
    }
    write_clean_list(checked, clean)
    own, listed = (Counter(file.split for file in files) for files in (all_files(data), all_files(clean)))
    assert own == {None: 31, "test": 7}
    assert listed == {None: 29, "test": 7}, "which of the others validate is not written down"


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
