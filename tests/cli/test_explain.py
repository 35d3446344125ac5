"""`finetune explain`: what it prints, and its errors."""

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

Finetune = Callable[..., tuple[int, str, str]]


@pytest.fixture
def image(image_folder: Callable[..., Path]) -> Path:
    return image_folder(dots=1) / "dots" / "0.png"


@pytest.mark.tensorflow
def test_explain(finetune: Finetune, image: Path, tiny_weights: Path, tmp_path: Path) -> None:
    arguments = ("explain", image, "--model", tiny_weights, "--out", tmp_path / "out.png")
    code, out, _ = finetune(*arguments)
    assert code == 0
    predicted, file = out.splitlines()
    first = finetune("predict", image, "--model", tiny_weights, "--top", 2)[1].splitlines()[1:]
    assert predicted.split() == ["predicted", *first[0].split()[1:]]
    assert file == str(tmp_path / "out.png")
    assert cv2.imread(file) is not None

    assert finetune(*arguments) == (
        1, "", f"finetune: error: --out {file} exists; choose another name, or --overwrite to replace it\n"
    )  # fmt: skip
    other = first[1].split()[-1]
    code, out, _ = finetune(*arguments, "--overwrite", "--class", other, "--layer", "conv3")
    assert code == 0
    assert out.splitlines()[1].split() == ["chosen", *first[1].split()[1:]]


def test_a_class_that_the_model_does_not_have(finetune: Finetune, image: Path, tmp_path: Path) -> None:
    """Ten of the starter's 200 are named, each by its first name, and none is suggested, since none is similar."""
    arguments = ("explain", image, "--class", "zebra", "--model", "starter", "--out", tmp_path / "out.png")
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
        (("explain", "x.png", "--out", "o.png", "--klass", "red"), 2, "there is no option '--klass'"),
        (("explain", "x.png", "--out", "o.png", "--class", "rad"), 2, "no class 'rad' (did you mean red?)"),
        (("explain", "x.png", "--out", "o.png", "--layer", "fc6"), 2, "the output of fc6 has no height and width"),
        (("explain", "x.png", "--out", "o.jpg"), 2, "expected a name that ends in .png"),
        (("explain", "x.png", "--out", "o.png"), 1, "x.png: cannot be opened (No such file or directory)"),
    ],
)
def test_an_error_is_one_line(
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
