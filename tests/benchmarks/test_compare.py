"""Every part of `benchmarks/compare.py` runs: a narrow network and a few drawn photos; the numbers mean nothing."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest
from support.drawn_photos import write_photos

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # programs, not a package
PARTS = import_module("compare").PARTS
Setting = import_module("setting").Setting

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]


def compared_with(folder: Path, parts: Sequence[str], torch_python: str | None) -> dict[str, set[str]]:
    """Run parts, two at a time, long ones first, on the smallest setting; return what each compares with."""
    for number, name in enumerate(("cloudy", "clear")):
        write_photos(folder / "photos" / name, range(6 * number, 6 * number + 6))
    setting = Setting(
        folder / "photos",
        folder,
        torch_python,
        rounds=1,
        epochs=1,
        files=(10, 20),
        images=(3, 6),
        warm_up=False,
        batch=2,
        fc_units=8,
        rest=0,
    )
    setting.write_models()
    with ThreadPoolExecutor(2) as pool:
        return dict(
            zip(parts, pool.map(lambda part: {line.against for line in PARTS[part](setting)}, parts), strict=True)
        )


def test_every_part_alone(tmp_path: Path) -> None:
    assert compared_with(tmp_path, list(reversed(PARTS)), None) == {
        "forward": {"", "matrix product"},
        "bfloat16": {""},
        "step": {""},
        "score": {"forward alone"},
        "layers": {"score --out rows.jsonl", "3 images"},
        "predict": {"import tensorflow"},
        "imports": {"import tensorflow"},
        "train": {"first run", "import tensorflow", "train --skip fc8", "until the end"},
        "memory": {"", "10 files"},
    }


def test_every_part_against_torch(tmp_path: Path) -> None:
    """With the running Python, which has torch in CI's second run."""
    for name in ("torch", "onnx", "onnxruntime"):
        pytest.importorskip(name)
    found = compared_with(tmp_path, ["train", "predict", "score", "step", "bfloat16", "forward"], sys.executable)
    assert {part: {name for name in names if "torch" in name or "ONNX" in name} for part, names in found.items()} == {
        "forward": {"torch float32", "ONNX Runtime"},
        "bfloat16": {"torch float32", "torch bfloat16"},
        "step": {"torch"},
        "score": {"plain torch loader"},
        "predict": {"torch, the same from the start", "ONNX Runtime, the same from the start"},
        "train": {"plain torch loop"},
    }
