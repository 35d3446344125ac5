"""What the tests of export share."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune.export.export_folder import RUNTIME

CLASSES = ("red", "grün|one", "blue")


def assert_same(found: NDArray[np.floating], expected: NDArray[np.float64]) -> None:
    """Compare probabilities, with the tolerance of an export."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def onnxruntime_web() -> Path:
    """Return the folder dist that `npm install onnxruntime-web` leaves in the checkout; skip the test without it."""
    dist = Path(__file__).parents[2] / "node_modules" / "onnxruntime-web" / "dist"
    if not dist.is_dir():
        pytest.skip("onnxruntime-web is not installed: npm install --no-save onnxruntime-web")
    return dist


def stand_in_runtime(folder: Path) -> Path:
    """Write files with the names of those of onnxruntime-web, which a browser could not run, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in RUNTIME.values():
        (folder / name).write_bytes(f"{name}, 1.19\n".encode() * 100)
    return folder
