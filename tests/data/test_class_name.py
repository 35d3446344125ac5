"""Names of classes: one spelling for each, in folders and lists, that every program can store."""

import os
from pathlib import Path

import pytest
from support.written_files import image, write_files

from finetune.data.class_name import checked_names, class_name, is_valid_text, valid_text
from finetune.data.dataset import Dataset
from finetune.data.read_data import labelled_files, read_data
from finetune.errors import DataError

COMPOSED, DECOMPOSED = "caf\xe9", "cafe\u0301"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("ants", "ants"),
        (" ants\t", "ants"),
        ("ants\xa0", "ants"),
        ("two  words", "two  words"),
        (DECOMPOSED, COMPOSED),
        (os.fsdecode(b"fourmi \xe9"), "fourmi \\xe9"),
        (os.fsdecode(b"\xff\x80"), "\\xff\\x80"),
        ("\ud800", "\\ud800"),
        ("\u65e5\u672c", "\u65e5\u672c"),
        ("\U0001f41c", "\U0001f41c"),
    ],
)
def test_the_name_of_a_class(given: str, name: str) -> None:
    assert class_name(given) == name
    assert class_name(name) == name, "it is the same when it is read again"
    assert is_valid_text(name)
    assert name.encode("utf-8").decode("utf-8") == name


def test_text_that_is_valid_stays() -> None:
    assert valid_text(f" {DECOMPOSED}\n") == f" {DECOMPOSED}\n"
    assert not is_valid_text("fourmi \udce9")


def test_a_class_in_several_spellings(caplog: pytest.LogCaptureFixture) -> None:
    given = ["ants", "ants ", COMPOSED, DECOMPOSED, "bees", "bees"]
    assert set(checked_names("DATA", given).values()) == {"ants", COMPOSED, "bees"}
    assert caplog.messages == [
        "DATA: class ants is one class, written as 'ants', 'ants '",
        f"DATA: class {COMPOSED} is one class, written as 'cafe\\u0301', 'caf\\xe9'",
    ]


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\x85b", "a\u2028b", "a\x0cb"])
def test_a_class_with_a_line_break(name: str, tmp_path: Path) -> None:
    message = f"class {name!r} has a line break in its name, which classes.txt cannot hold; rename it"
    with pytest.raises(DataError) as caught:
        read_data(write_files(tmp_path / "data", {f"{name}/1.png": 1, "c/2.png": 2}))
    assert str(caught.value) == message
    (tmp_path / "list.csv").write_text(f'path,label\n1.png,"{name}"\n2.png,c\n', newline="")
    with pytest.raises(DataError) as caught:
        read_data(tmp_path / "list.csv")
    assert str(caught.value) == message


@pytest.mark.parametrize("name", [" ", "\xa0", "\u3000"])
def test_a_class_without_a_name(name: str, tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {f"{name}/1.png": 1, "c/2.png": 2})
    with pytest.raises(DataError) as caught:
        read_data(root)
    assert str(caught.value) == f"{root} has a class without a name, {name!r}; rename it"
    (tmp_path / "list.csv").write_text(f'path,label\n1.png,"{name}"\n')
    with pytest.raises(DataError, match=r"line 2: no label; expected path,label$"):
        read_data(tmp_path / "list.csv")


def of_form(form: str, root: Path, spellings: list[str]) -> Dataset:
    """Return the images of classes in turn, four of each: spellings of one class, and bees."""
    files = [(f"{name}/{i}.png", name) for name in (*spellings, "bees") for i in range(4)]
    write_files(root, {path: number for number, (path, _) in enumerate(files)})
    if form == "folder":
        return read_data(root)
    (root / "list.csv").write_text("path,label\n" + "".join(f'"{path}","{label}"\n' for path, label in files))
    return read_data(root / "list.csv")


@pytest.mark.parametrize("spellings", [["ants", "ants "], [" ants", "ants"], [COMPOSED, DECOMPOSED]])
@pytest.mark.parametrize("form", ["folder", "csv"])
def test_spellings_of_one_class_in_folders_and_lists(form: str, spellings: list[str], tmp_path: Path) -> None:
    dataset = of_form(form, tmp_path / "data", spellings)
    assert dataset.class_names == tuple(sorted({class_name(spellings[0]), "bees"}))
    assert [dataset.class_names[record.label] for record in dataset.records].count("bees") == 4
    assert len(dataset.records) == 12


def test_a_split_may_spell_a_class_in_another_way(tmp_path: Path) -> None:
    """As folders packed on a Mac are next to others."""
    files = {f"train/{COMPOSED}/{i}.png": i for i in range(4)} | {f"train/bees/{i}.png": 10 + i for i in range(4)}
    root = write_files(tmp_path / "data", files | {f"val/{DECOMPOSED}/1.png": 20, "val/bees /2.png": 21})
    assert read_data(root).class_names == ("bees", COMPOSED)
    assert {file.class_name for file in labelled_files(root)} == {"bees", COMPOSED}


def test_a_folder_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {f"{name}/{i}.png": i + ord(name) for name in "ab" for i in range(4)})
    (root / "a").rename(os.fsdecode(os.fsencode(root) + b"/fourmi \xe9"))
    dataset = read_data(root)
    assert dataset.class_names == ("b", "fourmi \\xe9")
    assert len(dataset.records) == 8


@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
def test_a_list_whose_labels_are_not_utf_8(name: str, tmp_path: Path) -> None:
    """Excel writes CSVs in Windows-1252. Paths may have any bytes, as the names of files have."""
    text = "path,label\n1.png,ants\n2.png,fourmi\xe9\n" if name == "list.csv" else "# 1\n1.png ants\n2.png fourmi\xe9\n"
    path = tmp_path / name
    path.write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError) as caught:
        read_data(path)
    assert str(caught.value) == (
        f"{path}, line 3: the label 'fourmi\\\\xe9' is not UTF-8 (it may be Windows-1252); save the list in UTF-8, in "
        "Excel as CSV UTF-8"
    )
    (tmp_path / os.fsdecode(b"\xe9.png")).write_bytes(image(1))
    path.write_bytes(text.replace("fourmi\xe9", "bees").replace("2.png", "\xe9.png").encode("cp1252"))
    assert len(labelled_files(path)) == 2
    assert labelled_files(path)[1].path.exists()


def test_groups_are_spelled_in_one_way_too(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {f"{i}.png": i for i in range(4)})
    rows = [f"{i}.png,{'ab'[i % 2]},{group}\n" for i, group in enumerate(("p", "q ", " p", "q"))]
    (root / "list.csv").write_text("path,label,group\n" + "".join(rows))
    assert [file.group for file in labelled_files(root / "list.csv")] == ["p", "q", "p", "q"]


def test_class_names_of_any_script_are_sorted(tmp_path: Path) -> None:
    folders = ["Zebra", "ant", "Ägypten", "日本", "été", "two words", "a,b"]
    files = {f"{name}/{i}.png": 100 * place + i for place, name in enumerate(folders) for i in (0, 1)}
    dataset = read_data(write_files(tmp_path / "data", files))
    assert dataset.class_names == ("Zebra", "a,b", "ant", "two words", "Ägypten", "été", "日本")
