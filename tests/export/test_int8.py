"""8 bits: which images are used, and the loss worked out by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.readers import write_run

from finetune.data.preprocessing import Preprocessing
from finetune.errors import DataError, UsageError
from finetune.export.int8 import Int8Images, Int8Loss, calibration_pixels, choose_images, measure
from finetune.export.model_card import describe_loss

GRAY = Preprocessing(size=2, mean=(0,), channel_order="GRAY", std=(1,), resize_to=2)


@pytest.fixture
def grays(tmp_path: Path) -> list[Path]:
    """Four images with pixels of 0, 80, 160 and 240."""
    paths = []
    for value in (0, 80, 160, 240):
        paths.append(tmp_path / f"{value:03}.png")
        cv2.imwrite(str(paths[-1]), np.full((2, 2), value, np.uint8))
    return paths


def bright(threshold: float) -> "object":
    """Two classes, dark and bright, by the first pixel."""

    def predict(pixels: np.ndarray) -> np.ndarray:
        light = pixels[:, 0, 0, 0] / 255
        return np.where((light > threshold)[:, None], [[0.25, 0.75]], [[0.75, 0.25]])

    return predict


def test_loss_by_hand(grays: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    missing = grays[0].with_name("gone.png")
    images = Int8Images([], [grays[0], missing, *grays[1:]], [0, 0, 1, 1, 1])
    loss = measure(images, GRAY, bright(0.2), bright(0.5))  # type: ignore[arg-type]
    assert loss == Int8Loss(images=4, agreement=0.75, difference=0.5, accuracy_float=1.0, accuracy_int8=0.75)
    assert caplog.messages == [f"not read: {missing}: cannot be opened (No such file or directory)"]
    assert describe_loss(loss) == (
        "8 bits compared with float32 on 4 images: top-1 75.0 % instead of 100.0 %, 25.0 points lost; "
        "the same class for 75.0 %; probabilities differ by at most 0.500."
    )


def test_loss_without_labels(grays: list[Path]) -> None:
    loss = measure(Int8Images([], grays, None), GRAY, bright(0.2), bright(0.2))  # type: ignore[arg-type]
    assert loss == Int8Loss(images=4, agreement=1.0, difference=0.0)
    assert "top-1" not in describe_loss(loss)
    with pytest.raises(DataError, match="none of the images for measuring the loss can be read"):
        measure(Int8Images([], [grays[0].parent / "gone"], None), GRAY, bright(0), bright(0))  # type: ignore[arg-type]


def test_images_of_a_folder_alternate(grays: list[Path]) -> None:
    folder = grays[0].parent
    assert choose_images(None, folder) == Int8Images([grays[0], grays[2]], [grays[1], grays[3]], None)
    for path in grays[1:]:
        path.unlink()
    with pytest.raises(DataError, match="has 1 images; 8 bits need at least 2"):
        choose_images(None, folder)
    with pytest.raises(DataError, match="is not a folder; expected a folder of images"):
        choose_images(None, grays[0])
    with pytest.raises(UsageError, match="name a folder with --data"):
        choose_images(None, None)


def test_calibration_images_are_spread_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every class is among them: a folder's images are sorted by class."""
    monkeypatch.setattr("finetune.export.int8.CALIBRATION", 3)
    for number in range(14):
        (tmp_path / f"{number:02}.png").touch()
    images = choose_images(None, tmp_path)
    assert [path.stem for path in images.calibration] == ["00", "04", "08"]  # of 00, 02, 04, 06, 08, 10, 12
    assert [path.stem for path in images.measured] == ["01", "03", "05", "07", "09", "11", "13"]


def test_images_of_a_run_are_its_splits(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    images = choose_images(run, None)
    assert [path.stem for path in images.calibration] == ["4", "5", "6", "7"], "training images"
    assert [path.stem for path in images.measured] == ["0", "1", "2", "3"], "validation images"
    assert images.labels == [0, 1, 0, 1]


def test_calibration(grays: list[Path]) -> None:
    pixels = calibration_pixels([grays[1], grays[0].with_name("gone"), grays[3]], GRAY)
    assert pixels[:, 0, 0, 0].tolist() == [80, 240]
    with pytest.raises(DataError, match=r"none of the 1 images for calibration can be read, for example .*gone;"):
        calibration_pixels([grays[0].with_name("gone")], GRAY)
