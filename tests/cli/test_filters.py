"""`finetune filters`: what it prints, and its errors."""

from collections.abc import Callable
from pathlib import Path

import cv2
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
    assert [row.split() for row in rows] == [
        [channel, f"{largest[int(channel)]:.4g}"] for channel, _ in map(str.split, rows)
    ]
    assert float(rows[0].split()[1]) == pytest.approx(largest.max(), rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("filters", "--out", "o.png", "--layer", "conv6"), 2, "alexnet has no layer 'conv6' (did you mean conv5?)"),
        (("filters", "x.png", "--out", "o.png"), 1, "x.png: cannot be opened (No such file or directory)"),
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
