"""`finetune explain` and `finetune filters`: what is printed, and what one line says when it cannot be done."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

Finetune = Callable[..., tuple[int, str, str]]


@pytest.fixture
def picture(pictures: Callable[..., Path]) -> Path:
    return pictures(dots=1) / "dots" / "0.png"


def test_explain(finetune: Finetune, picture: Path, tiny_weights: Path, tmp_path: Path) -> None:
    arguments = ("explain", picture, "--model", tiny_weights, "--out", tmp_path / "out.png")
    code, out, _ = finetune(*arguments)
    assert code == 0
    predicted, file = out.splitlines()
    first = finetune("predict", picture, "--model", tiny_weights, "--top", 2)[1].splitlines()[1:]
    assert predicted.split() == ["predicted", *first[0].split()[1:]]
    assert file == str(tmp_path / "out.png")
    assert cv2.imread(file) is not None

    assert finetune(*arguments) == (
        1, "", f"finetune: error: --out {file} exists already; choose another name, or --overwrite to replace it\n"
    )  # fmt: skip
    other = first[1].split()[-1]
    code, out, _ = finetune(*arguments, "--overwrite", "--class", other, "--layer", "conv3")
    assert code == 0
    assert out.splitlines()[1].split() == ["chosen", *first[1].split()[1:]]


def test_filters(finetune: Finetune, picture: Path, tiny_weights: Path, tmp_path: Path) -> None:
    kernels, activations = tmp_path / "kernels.png", tmp_path / "activations.png"
    code, out, err = finetune("filters", "--model", tiny_weights, "--out", kernels)
    assert (code, out, err) == (0, f"{kernels}\n", "")
    code, out, _ = finetune("filters", picture, "--model", tiny_weights, "--layer", "pool2", "--out", activations)
    header, *rows, file = out.splitlines()
    assert (code, header.split(), len(rows), file) == (0, ["channel", "largest"], 16, str(activations))
    assert all(cv2.imread(str(path)) is not None for path in (kernels, activations))


def test_a_home_that_cannot_be_written_is_not_told(tmp_path: Path) -> None:
    """matplotlib says two lines about it, in a process that has not imported it yet."""
    (tmp_path / "home").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL"))}
    program = "from finetune.system.quiet import import_matplotlib\nimport_matplotlib()\nimport matplotlib.figure"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_a_class_that_is_not_there(finetune: Finetune, picture: Path, tmp_path: Path) -> None:
    """Ten of the starter's 200 are named, each by its first name, and none that is only somewhat alike."""
    arguments = ("explain", picture, "--class", "zebra", "--model", "starter", "--out", tmp_path / "out.png")
    assert finetune(*arguments) == (
        2,
        "",
        "finetune: error: --class: the model has no class 'zebra'; its classes are goldfish; European fire salamander; "
        "bullfrog; tailed frog; American alligator; boa constrictor; trilobite; scorpion; black widow; tarantula "
        "and 190 more\n",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("explain", "x.png"), 2, "Missing option '--out'"),
        (("explain", "--out", "o.png"), 2, "Missing argument 'IMAGE'"),
        (("explain", "x.png", "--out", "o.png", "--klass", "red"), 2, "No such option: --klass"),
        (("explain", "x.png", "--out", "o.png", "--class", "rad"), 2, "no class 'rad' (did you mean red?)"),
        (("explain", "x.png", "--out", "o.png", "--layer", "fc6"), 2, "the output of fc6 has no height and width"),
        (("explain", "x.png", "--out", "o.jpg"), 2, "expected a name that ends in .png"),
        (("explain", "x.png", "--out", "o.png"), 1, "x.png: cannot be opened (No such file or directory)"),
        (("filters", "--out", "o.png", "--layer", "conv6"), 2, "alexnet has no layer 'conv6' (did you mean conv5?)"),
        (("filters", "x.png", "--out", "o.png"), 1, "x.png: cannot be opened (No such file or directory)"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    finetune: Finetune,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = finetune(*arguments, "--model", tiny_weights)
    assert (found, out) == (code, "")
    assert err.startswith("finetune: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("o.*"))
