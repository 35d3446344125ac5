"""Lists as spreadsheets and other programs write them: commas, quotes, the home, columns in any case, other files."""

from pathlib import Path

import pytest
from PIL import Image
from support.encoded_images import encode

from finetune.data.lists import listed_path
from finetune.data.read_data import read_data
from finetune.errors import DataError

IMAGES = {"a/1.png": "ants", "a/2 .png": "ants", "b/1.png": "bees", "b/1,2.png": "bees"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with IMAGES, no two alike."""
    for number, name in enumerate(IMAGES):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(Image.new("RGB", (4, 3), (number, 0, 7)), "PNG"))
    return tmp_path


def labels(root: Path, name: str, text: str) -> dict[str, str]:
    """Return path -> class of the images in a list with this name and text."""
    (root / name).write_text(text)
    dataset = read_data(root / name)
    return {str(record.path.relative_to(root)): dataset.class_names[record.label] for record in dataset.records}


@pytest.mark.parametrize("between", [",", ", ", " ,", " , ", "\t", "  "])
def test_a_comma_before_the_class(root: Path, between: str) -> None:
    """As in a CSV without a header; a comma or a blank within a name is a part of it."""
    assert labels(root, "list.txt", "".join(f"{path}{between}{label}\n" for path, label in IMAGES.items())) == IMAGES


def test_a_class_with_a_comma(root: Path) -> None:
    text = "".join(f"{path} {label},x\n" for path, label in IMAGES.items())
    assert labels(root, "list.txt", text) == {path: f"{label},x" for path, label in IMAGES.items()}


def test_quotes_around_names(root: Path) -> None:
    assert labels(root, "list.txt", "".join(f'"{path}" {label}\n' for path, label in IMAGES.items())) == IMAGES
    (root / '"1.png"').write_bytes((root / "a" / "1.png").read_bytes())
    (root / "1.png").write_bytes((root / "a" / "1.png").read_bytes())
    assert listed_path(root, '"1.png"') == root / '"1.png"', "a name that exists as it is wins"


def test_the_home(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root))
    assert labels(root, "list.txt", "".join(f"~/{path} {label}\n" for path, label in IMAGES.items())) == IMAGES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "list.csv",
            'Path,LABEL,Split\na/1.png,ants,TRAIN\nb/1.png,bees,Train\na/2 .png,ants,VAL\n"b/1,2.png",bees,val',
        ),
        ("list.TSV", "path\tlabel\na/1.png\tants\nb/1.png\tbees\na/2 .png\tants\nb/1,2.png\tbees\n"),
        ("list.csv", ";path;label\n1;a/1.png;ants\n2;b/1.png;bees\n3;a/2 .png;ants\n4;b/1,2.png;bees\n"),
    ],
    ids=["any case", "TSV", "semicolons and an index"],
)
def test_tables(root: Path, name: str, text: str) -> None:
    assert labels(root, name, text) == IMAGES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("book.xlsx", "a spreadsheet; save it as CSV UTF-8, with the columns path and label"),
        ("book.ods", "a spreadsheet; save it as CSV UTF-8, with the columns path and label"),
        ("a.JSON", "not a list; write a CSV with the columns path and label, or lines of a path and its label"),
        ("a.yaml", "not a list; write a CSV with the columns path and label, or lines of a path and its label"),
    ],
)
def test_files_that_are_not_lists(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4 or text")
    with pytest.raises(DataError) as caught:
        read_data(tmp_path / name)
    assert str(caught.value) == f"expected a folder or list of images, but {tmp_path / name} is {expected}"
