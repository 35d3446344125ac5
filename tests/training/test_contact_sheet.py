"""The contact sheet: which images, which views, and in the right colours."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.data.augment import LEVELS, Augmentation, augmented_input, view_generator
from finetune.data.channels import Image
from finetune.data.dataset import Record
from finetune.data.images import read_image
from finetune.data.preprocessing import Preprocessing
from finetune.data.resize import resize
from finetune.errors import DataError
from finetune.training.contact_sheet import GAP, HEADER, ROWS, TILE, VIEWS, contact_sheet

PREPROCESSING = Preprocessing(size=32, mean=(0, 0, 0))
LEFT = [0, *(TILE + 4 * GAP + place * (TILE + GAP) for place in range(VIEWS - 1))]  # where each column begins


def flat(folder: Path, *colors: tuple[int, int, int]) -> list[Record]:
    """Return records of images of one colour each, given in RGB."""
    records = []
    for number, color in enumerate(colors):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), np.full((40, 50, 3), color[::-1], np.uint8))
        records.append(Record(path, 0, "train", f"{number + 1:064x}"))
    return records


def sheet(records: list[Record], preprocessing: Preprocessing, augmentation: Augmentation = LEVELS["light"]) -> Image:
    """The rows of the sheet, without the strip above them."""
    return whole(records, preprocessing, augmentation)[HEADER:]


def whole(records: list[Record], preprocessing: Preprocessing, augmentation: Augmentation) -> Image:
    content = contact_sheet(records, preprocessing, augmentation)
    assert content.startswith(b"\x89PNG")
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)  # type: ignore[return-value]


def test_the_strip_above_labels_the_original_and_the_views(tmp_path: Path) -> None:
    """There is text above the first column and from the second on, and none between them."""
    strip = whole(flat(tmp_path, (1, 2, 3)), PREPROCESSING, LEVELS["light"])[:HEADER]
    written = (strip < 128).any(axis=(0, 2))
    assert written[: LEFT[0] + TILE].any()
    assert written[LEFT[1] : LEFT[1] + TILE].any()
    assert not written[LEFT[0] + TILE : LEFT[1]].any()


def test_a_row_for_each_of_five_evenly_spaced_images(tmp_path: Path) -> None:
    records = flat(tmp_path, *((20 * number, 100, 200) for number in range(9)))
    pixels = sheet(records, PREPROCESSING)
    assert pixels.shape == (ROWS * TILE + (ROWS - 1) * GAP, LEFT[-1] + TILE, 3)
    for row, number in enumerate((0, 2, 4, 6, 8)):
        tiles = pixels[row * (TILE + GAP) :][:TILE]
        for left in LEFT:
            assert (tiles[:, left : left + TILE] == (200, 100, 20 * number)).all()
        assert (tiles[:, TILE : LEFT[1]] == 255).all()
        assert (tiles[:, LEFT[2] - GAP : LEFT[2]] == 255).all()


@pytest.mark.parametrize(
    ("preprocessing", "bgr"),
    [
        (PREPROCESSING, (10, 100, 200)),
        (replace(PREPROCESSING, channel_order="RGB"), (10, 100, 200)),
        (Preprocessing(32, (0,), (1,), "GRAY"), (120, 120, 120)),  # 0.299 · 200 + 0.587 · 100 + 0.114 · 10 = 119.6
    ],
    ids=["BGR", "RGB", "GRAY"],
)
def test_colours_are_right_for_every_channel_order(
    tmp_path: Path, preprocessing: Preprocessing, bgr: tuple[int, ...]
) -> None:
    pixels = sheet(flat(tmp_path, (200, 100, 10)), preprocessing)
    assert pixels.shape[0] == TILE
    assert (pixels[:, :TILE] == bgr).all()


def test_the_views_are_those_of_training(tmp_path: Path) -> None:
    record = flat(tmp_path, (0, 0, 0))[0]
    cv2.imwrite(str(record.path), np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    strong = replace(LEVELS["strong"], lighting=0.0)
    pixels = sheet([record], PREPROCESSING, strong)
    for view, left in enumerate(LEFT):
        generator = view_generator(record.digest, view)
        expected = augmented_input(read_image(record.path), PREPROCESSING, generator, strong)
        np.testing.assert_array_equal(pixels[:, left : left + TILE], resize(expected, TILE, TILE))


def test_validation_images_are_skipped(tmp_path: Path) -> None:
    records = flat(tmp_path, (1, 2, 3), (4, 5, 6))
    pixels = sheet([records[0]._replace(split="val"), records[1]], PREPROCESSING)
    assert pixels.shape[0] == TILE
    assert (pixels[:, :TILE] == (6, 5, 4)).all()


def test_another_image_replaces_one_that_cannot_be_read(tmp_path: Path) -> None:
    records = flat(tmp_path, *((20 * number, 100, 200) for number in range(9)))
    records[0].path.unlink()
    pixels = sheet(records, PREPROCESSING)
    assert pixels[:: TILE + GAP, 0, 2].tolist() == [40, 80, 120, 160, 20]
    for record in records[1:]:
        record.path.unlink()
    with pytest.raises(DataError, match=r"^expected training images for the contact sheet, but none of 9 can be read$"):
        contact_sheet(records, PREPROCESSING, LEVELS["light"])
