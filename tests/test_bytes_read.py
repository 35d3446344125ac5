"""How much is read: weights are mapped; an image is read once to hash it and once to compute its features."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.plans import plan_of

from finetune.data.folder import read_folder
from finetune.model import Model, load_model
from finetune.training.features import Trunk, View

COUNTERS = Path("/proc/self/io")
pytestmark = pytest.mark.skipif(not COUNTERS.exists(), reason="only Linux counts what a process reads")


def read_by(function: Callable[[], object]) -> int:
    """Return the bytes that `function` gets from read calls; mapped files do not count."""

    def count() -> int:
        return int(COUNTERS.read_text().split("\n", 1)[0].removeprefix("rchar: "))

    function()  # so that what is read only once, such as modules, does not count
    before = count()
    function()
    return count() - before


def test_weights_are_mapped(tiny_weights: Path) -> None:
    assert tiny_weights.stat().st_size > 9_000_000
    assert read_by(lambda: load_model(tiny_weights)) < 100_000


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Twenty images that do not compress."""
    generator = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / "noise" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), generator.integers(0, 256, (90, 90, 3), dtype=np.uint8))
    return tmp_path / "noise"


def test_images_are_read_once_for_each_job(noise: Path, tiny_model: Model) -> None:
    size = sum(path.stat().st_size for path in noise.rglob("*.png"))
    assert size > 400_000
    assert size <= read_by(lambda: read_folder(noise)) < 1.1 * size, "hashing reads each file once"

    dataset = read_folder(noise)
    trunk = Trunk(plan_of(tiny_model, ("fc8",)))

    def compute(cache: bool) -> None:
        with trunk.open_store(cache) as store:
            trunk.compute(dict.fromkeys(dataset.records, tuple(View(n, "float32") for n in range(3))), store)

    assert size <= read_by(lambda: compute(cache=False)) < 1.1 * size, "three views of an image need one reading"
    assert read_by(lambda: compute(cache=True)) < 0.1 * size, "stored features are mapped, their images not read"
