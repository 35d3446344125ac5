"""`finetune rdm`: what it prints, and its errors."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.activation_files import random_layers, write_activations

Finetune = Callable[..., tuple[int, str, str]]


def test_one_file(finetune: Finetune, tmp_path: Path) -> None:
    acts, out = write_activations(tmp_path / "acts.h5", random_layers(5), errors={1: "it is empty"}), tmp_path / "r.h5"
    code, printed, err = finetune("rdm", acts, "--out", out)
    assert (code, printed) == (0, f"{out}: 2 matrices of 4 images\n{tmp_path / 'r.png'}\n")
    assert err == "warning: 1 of 5 stimuli skipped: 1.png (it is empty)\n"


def test_two_files_and_a_figure(finetune: Finetune, tmp_path: Path) -> None:
    """Of three images and one unit, distances 1, 4, 1 and 4, 1, 1: CKA is 1/4, of (0, 1, 2) and (0, 2, 1)."""
    first, second = (
        write_activations(tmp_path / name, {"fc7": np.array([values], np.float32).T})
        for name, values in (("a.h5", [0, 1, 2]), ("b.h5", [0, 2, 1]))
    )
    out, figure = tmp_path / "r.h5", tmp_path / "r.svg"
    code, printed, err = finetune("rdm", first, second, "--out", out, "--figure", figure, "--metric", "euclidean")
    header, row, *rest = printed.splitlines()
    assert (code, err) == (0, "")
    assert " ".join(header.split()) == "layer of the first of the second Spearman tau-a linear CKA"
    assert row.split() == ["fc7", "fc7", "-0.500", "-0.333", "0.250"]
    assert rest == ["", f"{out}: 2 matrices of 3 images", str(figure)]
    assert figure.read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("gone.h5", "--out", "r.h5"),
            1,
            "gone.h5 cannot be read (No such file or directory): expected an HDF5 file of features",
        ),
        (("acts.h5", "--out", "r.txt"), 2, "--out r.txt: expected a name that ends in .h5 or .hdf5"),
        (("acts.h5", "--out", "r.h5", "--metric", "pearson"), 2, "expected correlation, euclidean or cosine"),
        (("acts.h5",), 2, "Missing option '--out'"),
    ],
)
def test_an_error_is_one_line(
    finetune: Finetune,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    write_activations(tmp_path / "acts.h5", random_layers(4))
    monkeypatch.chdir(tmp_path)
    found, out, err = finetune("rdm", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["acts.h5"]
