"""Published image sets: the files of their layouts, and what is missing or damaged."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from support.published_layouts import draw_caltech, draw_flowers

from finetune.data.published_sets import caltech101_files, flowers102_files
from finetune.errors import DataError, FinetuneError, UsageError


def test_caltech(tmp_path: Path) -> None:
    """The folder itself or the one that it is in; what is not an image is ignored."""
    folder = draw_caltech(tmp_path, images=2)
    files = caltech101_files(folder)
    assert Counter(file.class_name for file in files) == {"Faces": 2, "crab": 2, "BACKGROUND_Google": 2}
    assert {file.split for file in files} == {None}
    assert caltech101_files(tmp_path) == files


def test_flowers(tmp_path: Path) -> None:
    files = flowers102_files(draw_flowers(tmp_path / "flowers", images=10))
    assert [file.path.name for file in files] == [f"image_{number:05d}.jpg" for number in range(1, 11)]
    assert [file.class_name for file in files] == ["002", "001"] * 5
    assert [file.split for file in files] == ["train"] * 2 + ["val"] * 2 + ["test"] * 6


def remove_labels(folder: Path) -> None:
    (folder / "imagelabels.mat").unlink()


def break_labels(folder: Path) -> None:
    (folder / "imagelabels.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))


def other_name(folder: Path) -> None:
    savemat(folder / "imagelabels.mat", {"classes": np.arange(3)})


def no_whole_numbers(folder: Path) -> None:
    savemat(folder / "imagelabels.mat", {"labels": np.array(["a", "b"])})


def remove_image(folder: Path) -> None:
    (folder / "jpg" / "image_00004.jpg").unlink()


def name_too_many(folder: Path) -> None:
    splits = {"trnid": [1, 99], "valid": [3], "tstid": [4]}
    savemat(folder / "setid.mat", {key: np.array(value, np.uint16) for key, value in splits.items()})


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (remove_labels, UsageError,
         "expected jpg/, imagelabels.mat and setid.mat in flowers, but imagelabels.mat is missing; get it from the "
         "same page"),
        (break_labels, DataError, "flowers/imagelabels.mat: expected a MATLAB file with labels ("),
        (other_name, DataError,
         "flowers/imagelabels.mat: expected a MATLAB file with labels ('labels'); get a new copy"),
        (no_whole_numbers, DataError,
         "flowers/imagelabels.mat: expected a MATLAB file with labels (labels has no whole numbers); get a new copy"),
        (remove_image, DataError,
         "flowers/setid.mat names image 4, but flowers/jpg/image_00004.jpg or its label is missing; unpack the images "
         "again"),
        (name_too_many, DataError,
         "flowers/setid.mat names image 99, but flowers/jpg/image_00099.jpg or its label is missing; unpack the images "
         "again"),
    ],
)  # fmt: skip
def test_what_is_missing_or_damaged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Path], None],
    kind: type[FinetuneError],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    fault(draw_flowers(Path("flowers"), images=10))
    with pytest.raises(kind) as error:
        flowers102_files(Path("flowers"))
    assert str(error.value).startswith(message)
