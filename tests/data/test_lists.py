"""Text lists and CSVs: paths, labels, splits, repeats, and lines that cannot be read."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.encoded_images import encode, idx
from support.runs import started

from finetune.data.dataset import Dataset
from finetune.data.image_kinds import IMAGE_KINDS
from finetune.data.read_data import labelled_files, read_data
from finetune.errors import DataError
from finetune.model import Model
from finetune.runs.run import Run

IMAGES = ("a/1.png", "a/2.png", "b/1.png", "b/2.png", "a/with a space.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with IMAGES, no two alike."""
    for number, name in enumerate(IMAGES):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(Image.new("RGB", (4, 3), (number, 0, 7)), "PNG"))
    return tmp_path / "data"


def write(root: Path, name: str, text: str | bytes) -> Path:
    path = root / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def labels(dataset: Dataset, root: Path) -> dict[str, str]:
    return {str(record.path.relative_to(root)): dataset.class_names[record.label] for record in dataset.records}


def splits(dataset: Dataset, root: Path) -> Mapping[str, str]:
    return {str(record.path.relative_to(root)): record.split for record in dataset.records}


def message(data: Path) -> str:
    """Return the error of reading a list, less the path of the list."""
    with pytest.raises(DataError) as caught:
        read_data(data)
    return str(caught.value).replace(str(data), "LIST")


ANTS_AND_BEES = dict(zip(IMAGES, ("ants", "ants", "bees", "bees", "ants"), strict=True))
TEXT = "a/1.png ants\na/2.png ants\nb/1.png bees\nb/2.png bees\na/with a space.png ants\n"


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.rstrip("\n"),
        "\ufeff" + TEXT.replace("\n", "\r\n"),
        "# path and label\n\n   \n" + TEXT.replace("\n", "\n\n#a/1.png bees\n"),
        TEXT.replace(" ants", "\t ants  "),
    ],
    ids=["plain", "no end of line", "as Windows writes it", "comments and empty lines", "tabs"],
)
def test_a_text_list(root: Path, text: str) -> None:
    dataset = read_data(write(root, "list.txt", text))
    assert dataset.class_names == ("ants", "bees")
    assert labels(dataset, root) == ANTS_AND_BEES
    assert [record.path for record in dataset.records] == [root / name for name in IMAGES]


def test_a_list_gives_the_same_records_as_folders(root: Path) -> None:
    listed, folders = (
        read_data(write(root, "list.txt", TEXT.replace("ants", "a").replace("bees", "b"))),
        read_data(root),
    )
    assert sorted(listed.records) == sorted(folders.records)
    assert listed.class_names == folders.class_names


def test_absolute_paths_and_paths_to_parent_folders(root: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    lines = [f"{root / name if name.startswith('a') else f'../data/{name}'} {name[0]}" for name in IMAGES]
    dataset = read_data(write(tmp_path / "lists", "list", "\n".join(lines)))
    assert len(dataset.records) == 5


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_missing_and_damaged_files_are_skipped_and_named(root: Path, name: str) -> None:
    text = TEXT + f"gone.png ants\n{'n' * 300}.png ants\na ants\nwords.png bees\n"
    write(root, "words.png", "words")
    if name.endswith("csv"):
        text = "path,label\n" + text.replace(" ants\n", ",ants\n").replace(" bees\n", ",bees\n")
    dataset = read_data(write(root, name, text))
    assert labels(dataset, root) == ANTS_AND_BEES
    assert [tuple(skipped) for skipped in dataset.skipped] == [
        (root / "gone.png", "cannot be opened (No such file or directory)"),
        (root / f"{'n' * 300}.png", "cannot be opened (File name too long)"),
        (root / "a", "cannot be opened (Is a directory)"),
        (
            root / "words.png",
            f"not an image: expected {', '.join(IMAGE_KINDS)}; the file begins with b'words'",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/1.png ants\n\na/2.png\n", "LIST, line 3: expected a path and its label, found only 'a/2.png'"),
        ("", "expected at least two classes in LIST, found none; add images of another class"),
        ("# nothing", "expected at least two classes in LIST, found none; add images of another class"),
        ("a/1.png ants\n", "expected at least two classes in LIST, found only 'ants'; add images of another class"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            "LIST is not text: expected a list of images, a path and its label per line, in UTF-8",
        ),
        (
            "a/1.png ants\nb/1.png bees\n",
            "no image is left for validation; add images: at least two per class, or some for validation",
        ),
    ],
)
def test_lists_that_cannot_be_trained_on(root: Path, text: str | bytes, expected: str) -> None:
    assert message(write(root, "list.txt", text)) == expected


def test_a_class_whose_files_are_all_missing(root: Path) -> None:
    assert message(write(root, "list.txt", TEXT + "gone.png wasps\n")) == (
        "no readable image to train on for class 'wasps'; add images or remove the class; "
        f"1 skipped, the first: {root / 'gone.png'}: cannot be opened (No such file or directory)"
    )


CSV = 'path,label\na/1.png,ants\na/2.png,ants\n\nb/1.png,bees\nb/2.png,"bees"\na/with a space.png,ants\n'
HEADER, NAME_THEM = "expected columns named path and label, found", "name the columns in line 1"
SPLIT = "path,label,split\na/1.png,ants,train\na/2.png,ants,{0}\nb/1.png,bees,train\nb/2.png,bees,{0}\n"


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        "\ufeff" + CSV.replace("\n", "\r\n"),
        CSV.replace(",", ", "),
        CSV.replace(",", ";"),
        CSV.replace(",", "\t"),
        "path,label,split\n" + CSV.partition("\n")[2].replace("s\n", "s,\n"),
        "label,note,path\nants,,a/1.png\nants,x,a/2.png\nbees,,b/1.png\nbees,,b/2.png\nants,,a/with a space.png",
    ],
    ids=["plain", "as Windows writes it", "spaces", "semicolons", "tabs", "split empty everywhere", "other order"],
)
def test_a_csv_without_split(root: Path, text: str) -> None:
    dataset = read_data(write(root, "list.CSV", text))
    assert labels(dataset, root) == ANTS_AND_BEES
    assert dataset.records == read_data(write(root, "list.txt", TEXT)).records


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_a_csv_with_split(root: Path, name: str) -> None:
    dataset = read_data(write(root, "list.csv", SPLIT.format(name)), val_fraction=0.9)
    assert splits(dataset, root) == {"a/1.png": "train", "a/2.png": "val", "b/1.png": "train", "b/2.png": "val"}
    assert dataset.class_names == ("ants", "bees")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/1.png,ants\n", f"LIST, line 1: {HEADER} 'a/1.png,ants'; {NAME_THEM}"),
        ("", f"LIST, line 1: {HEADER} ''; {NAME_THEM}"),
        ("id,breed\nx,ants\n", f"LIST, line 1: {HEADER} 'id,breed'; {NAME_THEM}"),
        ("path|label\nx|ants\n", f"LIST, line 1: {HEADER} 'path|label'; {NAME_THEM}"),
        ("path,label\n".encode("utf-16-le"), "LIST is not text: expected a CSV in UTF-8; save it as CSV UTF-8"),
        ('path,"label\n', f"LIST, line 1: {HEADER} 'path,\"label'; {NAME_THEM}"),
        ("path,label\na\0,ants\n", "LIST, line 2: expected text, found a NUL; save the list in UTF-8"),
        (
            "path;label\na;1.png;ants\n",
            "LIST, line 2: expected 2 fields, found 3; quote paths that contain a semicolon",
        ),
        ("path\tlabel\na\t1\tx\n", "LIST, line 2: expected 2 fields, found 3; quote paths that contain a tab"),
        (
            "path,label\na,b\n" + "x" * 70_000,
            "LIST, line 3: expected a list, found a line of over 65,536 characters; check it",
        ),
        (
            "path,label\na,b\n".encode("utf-16") + b"x",
            "LIST, line 3: it begins like UTF-16, but is damaged; save the list in UTF-8",
        ),
        ("path,label\na/1.png,ants\na/2.png\n", "LIST, line 3: no label; expected path,label"),
        ("path,label\na/1.png,\n", "LIST, line 2: no label; expected path,label"),
        ("path,label\n,ants\n", "LIST, line 2: no path; expected path,label"),
        (
            "path,label\na,1.png,ants\n",
            "LIST, line 2: expected 2 fields, found 3; quote paths that contain a comma",
        ),
        (
            SPLIT.format("validate"),
            "LIST, line 3: unknown split 'validate'; expected train, val, valid, validation, test",
        ),
        (
            SPLIT.format(""),
            "LIST, line 3: no split, but other lines have one; expected train or val on every line, or on none",
        ),
        (
            "path,label,split\na/1.png,ants,train\nb/1.png,bees,train\nb/2.png,bees,test\na/2.png,ants,test\n",
            "no image is left for validation; add images: at least two per class, or some for validation",
        ),
        (
            "path,label,split\na/1.png,ants,test\nb/1.png,bees,test\n",
            "expected at least two classes in the training lines of LIST, found none; add images of another class",
        ),
        (
            SPLIT.format("val") + "b/1.png,bee,val\n",
            "class 'bee' is in the validation lines but not in the training lines of LIST (did you mean bees?); "
            "every class needs images to train on",
        ),
        (
            "path,label\na/1.png,ants\n",
            "expected at least two classes in the training lines of LIST, found only 'ants'; "
            "add images of another class",
        ),
        ('path,label\na/1.png,"ants\n', "LIST, line 2: invalid CSV (unexpected end of data)"),
    ],
)
def test_csvs_that_cannot_be_trained_on(root: Path, text: str | bytes, expected: str) -> None:
    assert message(write(root, "list.csv", text)) == expected


def test_names_that_look_like_formulas_are_read_as_they_were(root: Path) -> None:
    """A ' before them keeps spreadsheets from computing them."""
    for number, name in enumerate(("=1.png", "=2.png", "-3.png", "it's.png")):
        (root / name).write_bytes((root / IMAGES[number]).read_bytes())
    text = "path,label\n'=1.png,'=ants\n'=2.png,'=ants\n'-3.png,bees\nit's.png,bees\n"
    dataset = read_data(write(root, "list.csv", text))
    assert labels(dataset, root) == {"=1.png": "=ants", "=2.png": "=ants", "-3.png": "bees", "it's.png": "bees"}


def test_paths_are_relative_to_the_csv_else_to_the_current_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists" / "a").mkdir(parents=True)
    (tmp_path / "lists" / "a" / "1.png").write_bytes((root / "a" / "1.png").read_bytes())
    data = write(tmp_path / "lists", "list.csv", CSV)
    monkeypatch.chdir(root)
    places = [record.path for record in read_data(data).records]
    assert places == [tmp_path / "lists" / "a" / "1.png", *(Path(name) for name in IMAGES[1:])]


def test_groups_of_a_csv(root: Path) -> None:
    """An empty cell, or a line that ends before the column, is an image without a group."""
    text = "label,path,group\nants,a/1.png,'=p\nants,a/2.png,'=p\nbees,b/1.png,\nbees,b/2.png\n"
    dataset = read_data(write(root, "list.csv", text))
    assert [record.group for record in dataset.records] == ["=p", "=p", "", ""]
    assert [file.group for file in labelled_files(root / "list.csv")] == ["=p", "=p", "", ""]
    assert [record.split for record in dataset.records[:2]] == ["train", "train"], "the only group of its class"
    assert sorted(record.split for record in dataset.records[2:]) == ["train", "val"]


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_lines_that_repeat_others_count_once(root: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """However the path is written; the same file with another label stays, which the user has to fix."""
    text = TEXT + f"a/1.png ants\nb/../b/1.png bees\n{root}/a/2.png ants\na/1.png bees\n"
    if name.endswith("csv"):
        text = "path,label\n" + text.replace(" ants\n", ",ants\n").replace(" bees\n", ",bees\n")
    data = write(root, name, text)
    dataset = read_data(data)
    assert [record.path.name for record in dataset.records] == [Path(path).name for path in (*IMAGES, "1.png")]
    assert [record.label for record in dataset.records] == [0, 0, 1, 1, 0, 1]
    line = 7 if name.endswith("csv") else 6
    assert caplog.messages == [
        f"{data}: lines skipped because they repeat others: 3, the first is line {line}, {root / 'a' / '1.png'}"
    ]
    assert len(labelled_files(data)) == 6


@pytest.mark.parametrize("form", ["folder", "idx"])
def test_the_manifest_of_a_run_is_data(
    tmp_path: Path, root: Path, tiny_model: Model, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """It gives the same records, with relative paths and whatever characters are in the names."""
    monkeypatch.chdir(tmp_path)
    if form == "folder":
        strange = Path("data", "b", 'a "quoted", name\nof two lines \udcff.png')
        strange.write_bytes(encode(Image.new("RGB", (4, 3)), "PNG"))
    else:
        pixels = np.arange(8 * 6, dtype=np.uint8).reshape(8, 2, 3)
        Path("data", "train-images-idx3-ubyte").write_bytes(idx(pixels))
        Path("data", "train-labels-idx1-ubyte").write_bytes(idx(np.arange(8, dtype=np.uint8) % 2))
    dataset = read_data(Path("data"))
    assert len(dataset.records) == (6 if form == "folder" else 8)
    run = Run(tmp_path / "run")
    started(run.path, {}, dataset)
    assert read_data(run.path / "manifest.csv") == dataset
