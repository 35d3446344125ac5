"""Every part of `benchmarks/compare.py` runs: a narrow network and a few drawn photos; the numbers mean nothing."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from support.drawn_photos import write_photos

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))  # programs, not a package
PARTS = import_module("compare").PARTS
Setting = import_module("setting").Setting

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]


def small(folder: Path, torch_python: str | None) -> Any:
    """Return the smallest setting, with its models written."""
    for number, name in enumerate(("cloudy", "clear")):
        write_photos(folder / "photos" / name, range(6 * number, 6 * number + 6))
    setting = Setting(
        folder / "photos",
        folder,
        torch_python,
        rounds=1,
        warm_up=False,
        epochs=1,
        files=(10, 20),
        batch=2,
        fc_units=8,
        rest=0,
        environment={**os.environ, "XDG_CACHE_HOME": str(folder), "FINETUNE_OFFLINE": "1"},
    )
    setting.write_models()
    return setting


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return small(tmp_path_factory.mktemp("alone"), None)


@pytest.fixture(scope="module")
def with_torch(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a setting with the running Python; CI has torch in its second run."""
    for name in ("torch", "onnx", "onnxruntime"):
        pytest.importorskip(name)
    return small(tmp_path_factory.mktemp("torch"), sys.executable)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_without_the_others(part: str, alone: Any) -> None:
    lines = list(PARTS[part](alone))
    assert lines
    assert not [line for line in lines if "torch" in line.against or "ONNX" in line.against]


@pytest.mark.parametrize("part", [name for name in PARTS if name not in ("imports", "memory")])
def test_every_part_against_torch(part: str, with_torch: Any) -> None:
    others = {line.against for line in PARTS[part](with_torch)}
    assert any("torch" in other for other in others)
    assert any("ONNX" in other for other in others) == (part in ("forward", "predict"))
