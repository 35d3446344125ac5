"""8 bits: which pictures, and what is lost, by hand; then a real conversion of a run."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.data.preprocessing import Preprocessing
from finetune.errors import DataError, UsageError
from finetune.export.int8 import Loss, Pictures, calibration_pixels, choose_pictures, measure
from finetune.export.model_card import describe_loss

GRAY = Preprocessing(size=2, mean=(0,), channel_order="GRAY", std=(1,), resize_to=2)


@pytest.fixture
def grays(tmp_path: Path) -> list[Path]:
    """Four pictures that are 0, 80, 160 and 240 all over."""
    paths = []
    for value in (0, 80, 160, 240):
        paths.append(tmp_path / f"{value:03}.png")
        cv2.imwrite(str(paths[-1]), np.full((2, 2), value, np.uint8))
    return paths


def bright(threshold: float) -> "object":
    """Two classes, dark and bright, by the first pixel."""

    def answers(pixels: np.ndarray) -> np.ndarray:
        light = pixels[:, 0, 0, 0] / 255
        return np.where((light > threshold)[:, None], [[0.25, 0.75]], [[0.75, 0.25]])

    return answers


def test_loss_by_hand(grays: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    missing = grays[0].with_name("gone.png")
    pictures = Pictures([], [grays[0], missing, *grays[1:]], [0, 0, 1, 1, 1])
    loss = measure(pictures, GRAY, bright(0.2), bright(0.5))  # type: ignore[arg-type]
    assert loss == Loss(images=4, agreement=0.75, difference=0.5, accuracy_float=1.0, accuracy_int8=0.75)
    assert caplog.messages == [f"not read: {missing}: cannot be opened (No such file or directory)"]
    assert describe_loss(loss) == (
        "8 bits against float32 on 4 pictures: top-1 75.0 % instead of 100.0 %, 25.0 points lost; "
        "the same first class for 75.0 %, the largest difference of a probability 0.500."
    )


def test_loss_without_labels(grays: list[Path]) -> None:
    loss = measure(Pictures([], grays, None), GRAY, bright(0.2), bright(0.2))  # type: ignore[arg-type]
    assert loss == Loss(images=4, agreement=1.0, difference=0.0)
    assert "top-1" not in describe_loss(loss)
    with pytest.raises(DataError, match="none of the pictures to measure 8 bits on can be read"):
        measure(Pictures([], [grays[0].parent / "gone"], None), GRAY, bright(0), bright(0))  # type: ignore[arg-type]


def test_pictures_of_a_folder_are_shared_out(grays: list[Path]) -> None:
    folder = grays[0].parent
    assert choose_pictures(None, folder) == Pictures([grays[0], grays[2]], [grays[1], grays[3]], None)
    for path in grays[1:]:
        path.unlink()
    with pytest.raises(DataError, match="has 1 pictures; 8 bits need two at least"):
        choose_pictures(None, folder)
    with pytest.raises(DataError, match="is no folder; expected one with pictures in it"):
        choose_pictures(None, grays[0])
    with pytest.raises(UsageError, match="name a folder of them with --data"):
        choose_pictures(None, None)


def test_calibration(grays: list[Path]) -> None:
    pixels = calibration_pixels([grays[1], grays[0].with_name("gone"), grays[3]], GRAY)
    assert pixels[:, 0, 0, 0].tolist() == [80, 240]
    with pytest.raises(DataError, match=r"none of the 1 pictures to take the ranges from can be read, .*gone for one"):
        calibration_pixels([grays[0].with_name("gone")], GRAY)
