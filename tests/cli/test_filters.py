"""`finetune filters`: what it prints, and its errors."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.classifier import load

Finetune = Callable[..., tuple[int, str, str]]


def test_kernels_and_activations(
    finetune: Finetune, image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path
) -> None:
    image = image_folder(dots=1) / "dots" / "0.png"
    kernels, activations = tmp_path / "kernels.png", tmp_path / "activations.png"
    code, out, err = finetune("filters", "--model", tiny_weights, "--out", kernels)
    assert (code, out, err) == (0, f"{kernels}\n", "")
    code, out, _ = finetune("filters", image, "--model", tiny_weights, "--layer", "pool2", "--out", activations)
    header, *rows, file = out.splitlines()
    assert (code, header.split(), len(rows), file) == (0, ["channel", "largest"], 16, str(activations))
    assert all(cv2.imread(str(path)) is not None for path in (kernels, activations))
    (features,) = load(tiny_weights).features([image], layer="pool2")
    assert features.values is not None
    largest = features.values.max(axis=(0, 1))
    found = {int(channel): float(value) for channel, value in map(str.split, rows)}
    assert list(found.values()) == pytest.approx(largest[list(found)], abs=0.005)
    assert next(iter(found.values())) == pytest.approx(largest.max(), rel=1e-3)
    assert len({len(row) - row.index(".") for row in rows}) == 1, "the points of the numbers are aligned"


def test_images_that_drive_each_channel(
    finetune: Finetune, image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path
) -> None:
    """A row for each image of each channel, the strongest first; of one that is not driven there is no row."""
    folder, out = image_folder(dots=3, stripes=3), tmp_path / "sheet.png"
    code, printed, _ = finetune(
        *("filters", folder, "--model", tiny_weights, "--layer", "conv5", "--channel", "12,40", "--top", 2),
        *("--out", out),
    )
    header, *rows, file = printed.splitlines()
    assert (code, header.split(), file) == (0, ["channel", "value", "image"], str(out))
    images = sorted(folder.rglob("*.png"))
    maps = np.stack([np.asarray(each.values) for each in load(tiny_weights).features(images, "conv5")])
    expected = []
    for channel in (12, 40):
        largest = maps[..., channel].max(axis=(1, 2))
        best = np.argsort(-largest, kind="stable")[:2]
        expected += [[str(channel), f"{largest[index]:.3f}", str(images[index])] for index in best]
    assert [row.split(maxsplit=2) for row in rows] == expected
    assert cv2.imread(str(out)) is not None


def test_one_image_and_named_channels(
    finetune: Finetune, image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path
) -> None:
    """Its maps, as without --channel; with --top a sheet."""
    image = image_folder(dots=1) / "dots" / "0.png"
    arguments = ("filters", image, "--model", tiny_weights, "--channel", 5, "--channel", "2")
    code, printed, _ = finetune(*arguments, "--out", tmp_path / "maps.svg")
    assert code == 0
    assert [line.split()[0] for line in printed.splitlines()[1:-1]] == ["5", "2"]
    assert "the image as the network sees it" in (tmp_path / "maps.svg").read_text()
    code, printed, _ = finetune(*arguments, "--top", 1, "--out", tmp_path / "sheet.pdf")
    assert printed.splitlines()[0].split() == ["channel", "value", "image"]


def test_images_that_cannot_be_read(
    finetune: Finetune, image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path
) -> None:
    folder = image_folder(dots=3)
    (folder / "dots" / "1.png").write_bytes(b"")
    arguments = ("filters", "--model", tiny_weights, "--out", tmp_path / "sheet.png")
    code, out, err = finetune(*arguments, folder)
    assert (code, out.splitlines()[-1]) == (3, str(tmp_path / "sheet.png"))
    assert f"not read: {folder}/dots/1.png: the file is empty" in err
    assert "1 of 3 not read: 1 × the file is empty; each with its reason in the output of finetune predict" in err
    code, out, err = finetune(*arguments, "--overwrite", folder / "dots" / "1.png", tmp_path / "gone.png")
    assert (code, out) == (1, "")
    assert "2 of 2 not read" in err


@pytest.mark.tensorflow
def test_optimize(finetune: Finetune, tiny_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "units.pdf"
    code, printed, _ = finetune("filters", "--optimize", "--channel", "3,1", "--model", tiny_weights, "--out", out)
    header, first, second, file = printed.splitlines()
    assert (code, header.split(), file) == (0, ["channel", "value"], str(out))
    assert (first.split()[0], second.split()[0]) == ("3", "1")
    assert min(float(row.split()[1]) for row in (first, second)) > 0
    assert out.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("filters", "--out", "o.png", "--layer", "conv6"), 2, "alexnet has no layer 'conv6' (did you mean conv5?)"),
        (("filters", "x.png", "--out", "o.png"), 1, "x.png: cannot be opened (No such file or directory)"),
        (("filters", "--out", "o.png", "--channel", "1"), 2, "--channel needs images, or --optimize; omit it to draw"),
        (("filters", "--out", "o.png", "--channel", "1,b"), 2, "numbers of channels, such as 12,40, got 'b'"),
        (("filters", "--out", "o.png", "--channel", "-1"), 2, "numbers of channels, such as 12,40, got '-1'"),
        (("filters", "--out", "o.png", "--optimize", "--channel", "96"), 2, "channels of conv1 are 0 to 95, not 96"),
        (("filters", "--out", "o.png", "--optimize"), 2, "--optimize needs the channels to draw; give --channel"),
        (("filters", "x.png", "--out", "o.png", "--optimize"), 2, "--optimize makes its images; omit the images"),
        (("filters", "--out", "o.gif"), 2, "expected a name that ends in .png, .pdf or .svg"),
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
