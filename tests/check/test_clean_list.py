"""The list without harmful files and extra copies is what training takes."""

import csv
from pathlib import Path

import pytest
from support.drawn_photos import write_photos
from support.planted_faults import found, plant_faults, write_sound_data

from finetune.check.check import check
from finetune.check.clean_list import write_clean_list
from finetune.data.read_data import read_data


def test_the_clean_list_is_what_training_takes(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "clean.csv"
    write_sound_data(data)
    plant_faults(data)
    assert write_clean_list(check(data), out) == (
        "36 images; 13 excluded: cannot be read (4), damaged data (2), all one colour (1), identical in different "
        "classes (2), identical in different splits (1), identical in one class (1), nearly identical in "
        "different splits (1), nearly identical in one class (1)"
    )
    dataset = read_data(out)
    kept = {(record.path.relative_to(data).as_posix(), record.split) for record in dataset.records}
    excluded = (
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
    expected -= {f"train/ants/{name}" for name in excluded} | {"train/bees/other.jpg"}
    assert kept == {(path, path.split("/")[0]) for path in expected}
    assert check(out).of("identical") == ()


def test_data_without_splits_leaves_them_to_training(tmp_path: Path) -> None:
    for number, name in enumerate((" ants", "bees, wild")):
        write_photos(tmp_path / "data" / name, range(20 * number, 20 * number + 12))
    checked = check(tmp_path / "data")
    assert found(checked) == []
    write_clean_list(checked, tmp_path / "clean.csv")
    with (tmp_path / "clean.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"path", "label"}
    trained, listed = read_data(tmp_path / "data"), read_data(tmp_path / "clean.csv")
    assert listed.class_names == trained.class_names == ("ants", "bees, wild")
    assert [record[1:] for record in listed.records] == [record[1:] for record in trained.records]
    assert checked.counts["ants"] == {"train": 12}


def test_a_file_named_twice_in_a_list_is_kept_once(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", range(8))
    lines = [f"photos/{name:03}.jpg,{'a' if name % 2 else 'b'}" for name in [*range(8), 0]]
    (tmp_path / "twice.csv").write_text("\n".join(["path,label", *lines]))
    checked = check(tmp_path / "twice.csv")
    assert checked.of("identical") == ()
    assert write_clean_list(checked, tmp_path / "clean.csv") == "8 images; 0 excluded"
    (tmp_path / "both.csv").write_text("\n".join(["path,label", *lines, "photos/000.jpg,a"]))
    (finding,) = check(tmp_path / "both.csv").of("identical-classes")
    assert finding.paths == (tmp_path / "photos/000.jpg",) * 2
    assert finding.message == "2 images in 'a' and 'b'"


def test_paths_are_absolute_and_no_label_is_a_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(("=1+1", "ants")):
        write_photos(tmp_path / "data" / name, range(20 * number, 20 * number + 12))
    monkeypatch.chdir(tmp_path)
    write_clean_list(check(Path("data")), Path("clean.csv"))
    with Path("clean.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"'=1+1", "ants"}
    assert rows[0]["path"] == str(tmp_path / "data/=1+1/000.jpg")
    assert read_data(Path("clean.csv")).class_names == ("=1+1", "ants")


@pytest.mark.parametrize("header", ["path,label", "path,label,group", "path,label,split,group", "path,label,split"])
def test_a_list_keeps_the_columns_that_it_came_with(tmp_path: Path, header: str) -> None:
    """A split that `check` made to count is not among them, and a group is not lost."""
    write_photos(tmp_path / "photos", range(12))
    values = {
        str(path): {
            "path": str(path),
            "label": "ab"[i % 2],
            "split": ("val", "train", "test")[i % 3],
            "group": f"=g{i}",
        }
        for i, path in enumerate(sorted((tmp_path / "photos").iterdir()))
    }
    names = header.split(",")
    rows = [{name: value[name] for name in names} for value in values.values()]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    write_clean_list(check(tmp_path / "list.csv"), tmp_path / "clean.csv")
    with (tmp_path / "clean.csv").open(newline="") as file:
        found_rows = list(csv.DictReader(file))
    assert [row | {"group": row["group"].lstrip("'")} if "group" in row else row for row in found_rows] == rows
    again = read_data(tmp_path / "clean.csv")
    assert {record.group for record in again.records} <= (
        {""} if "group" not in names else {f"=g{i}" for i in range(12)}
    )
