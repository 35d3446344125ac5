"""The images that drive a channel most, compared with all values at once, and what their units see."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune import classifier as classifier_module
from finetune.classifier import Classifier
from finetune.data.images import read_input
from finetune.errors import DataError, ImageError, UsageError, WeightsError
from finetune.explain import driving_images, show_driving_images
from finetune.model import Model
from finetune.networks.layers import Conv, Dense
from finetune.networks.receptive_field import seen_pixels

Handmade = Callable[..., Classifier]


@pytest.fixture
def units(handmade: Handmade) -> Classifier:
    """The pixel in the middle of 3 × 3, and 100 minus it; for an image of 5 × 5 with a border of zeros."""
    kernel = np.zeros((3, 3, 1, 2))
    kernel[1, 1, 0] = 1, -1
    return handmade(
        (Conv("conv1", 2, 3, padding=1), Dense("fc", 2, relu=False)),
        {"conv1/kernel": kernel, "conv1/bias": [0, 100], "fc/kernel": np.ones((50, 2)), "fc/bias": [0, 0]},
        size=5,
    )


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    generator = np.random.default_rng(1)
    paths = [tmp_path / f"{number:02}.png" for number in range(40)]
    for path in paths:
        cv2.imwrite(str(path), generator.integers(0, 90, (5, 5), np.uint8))
    return paths


def pixels(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def test_as_all_values_at_once(units: Classifier, photos: list[Path]) -> None:
    found = driving_images(units, photos, "conv1", top=7)
    assert (found.images, found.unread.counts.total()) == (40, 0)
    for channel, sign in ((0, 1), (1, -1)):
        values = np.array([(sign * pixels(path).astype(float)).max() + 100 * channel for path in photos])
        best = np.argsort(-values, kind="stable")[:7]
        driven = next(each for each in found.channels if each.channel == channel)
        assert [image.value for image in driven.images] == values[best].tolist()
        assert [image.path for image in driven.images] == [str(photos[index]) for index in best]
    assert [each.channel for each in found.channels] == [1, 0], "the strongest first: 100 minus a dark pixel"
    assert len(driving_images(units, photos, "conv1").channels[0].images) == 9


def test_a_unit_is_cropped_to_what_it_sees(units: Classifier, photos: list[Path]) -> None:
    """In the middle 3 × 3 pixels of the image; at the corner 2 × 2, at their place in light gray."""
    inner, corner = np.zeros((2, 5, 5), np.uint8)
    inner[1:4, 2:5] = np.arange(1, 10).reshape(3, 3)
    inner[2, 3] = 200
    corner[0, 4], corner[1, 3] = 150, 50
    for path, image in zip(photos, (inner, corner), strict=False):
        cv2.imwrite(str(path), image)
    ((_, (first, second)),) = driving_images(units, photos[:2], "conv1", [0]).channels
    assert (first.value, second.value) == (200, 150)
    np.testing.assert_array_equal(first.crop, np.repeat(inner[1:4, 2:5, None], 3, axis=2))
    gray = [[225, 225, 225], [0, 150, 225], [50, 0, 225]]
    np.testing.assert_array_equal(second.crop[..., 0], gray)


def test_a_fully_connected_unit_sees_everything(units: Classifier, photos: list[Path]) -> None:
    ((_, (first,)),) = driving_images(units, photos, "fc", [1], top=1).channels
    np.testing.assert_array_equal(first.crop[..., 0], pixels(Path(str(first.path))))


def test_before_the_relu(
    units: Classifier, photos: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pixels of 180 or more make the second channel negative; after its ReLU no such image drives it."""
    for number, path in enumerate(photos[:3]):
        cv2.imwrite(str(path), np.full((5, 5), 180 + number, np.uint8))
    before = driving_images(units, photos[:3], "conv1:linear", [1]).channels[0].images
    assert [image.value for image in before] == [-80, -81, -82]
    after = driving_images(units, photos[:4], "conv1", [1]).channels[0].images
    assert [image.path for image in after] == [str(photos[3])]
    both = show_driving_images(units, tmp_path / "out.svg", photos[:3], "conv1", [1, 0])
    assert [len(each.images) for each in both.channels] == [0, 3]
    assert caplog.messages == ["channel 1 of conv1 is not drawn: no image drives it, all its values are 0"]
    assert re.findall(r">channel (\d: [^<]*)<", (tmp_path / "out.svg").read_text()) == ["0: 182 to 180"]
    with pytest.raises(DataError, match=r"^no image drives these channels of conv1: all values are 0; give other"):
        driving_images(units, photos[:3], "conv1", [1])


def test_each_image_is_decoded_once_and_the_shown_ones_again(
    units: Classifier, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []

    def counting(image: Path, *options: object) -> object:
        read.append(image)
        return read_input(image, *options)  # type: ignore[arg-type]

    monkeypatch.setattr(classifier_module, "read_input", counting)
    driving_images(units, iter(photos), "conv1", top=2)
    assert read == photos


def test_an_image_that_is_gone_at_the_end(
    units: Classifier, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def last_time(image: Path, *options: object) -> object:
        pixels = read_input(image, *options)  # type: ignore[arg-type]
        image.unlink()
        return pixels

    monkeypatch.setattr(classifier_module, "read_input", last_time)
    with pytest.raises(ImageError, match=r"/0\d\.png: cannot be opened \(No such file or directory\)"):
        driving_images(units, photos[:3], "conv1")


def test_images_that_cannot_be_read(
    units: Classifier, photos: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos[3].write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        found = driving_images(units, [*photos, tmp_path / "gone.png"], "conv1", top=40)
    assert found.images == 41
    assert found.unread.counts.total() == 2
    assert len(found.channels[0].images) == 39
    assert [record.message.partition(": ")[2].partition(": ")[0] for record in caplog.records] == [
        str(photos[3]),
        str(tmp_path / "gone.png"),
    ]
    none = show_driving_images(units, tmp_path / "out.png", [photos[3]], "conv1")
    assert (none.channels, none.images) == ((), 1)
    assert not (tmp_path / "out.png").exists()


def test_wrong_arguments(units: Classifier, photos: list[Path]) -> None:
    with pytest.raises(UsageError, match=r"^--channel: the channels of conv1 are 0 to 1, not 2$"):
        driving_images(units, photos, "conv1", [0, 2])
    with pytest.raises(UsageError, match=r"^--channel: 1 is named twice; name each channel once$"):
        driving_images(units, photos, "conv1", [1, 1])
    with pytest.raises(UsageError, match=r"no layer 'conv2' \(did you mean conv1\?\)"):
        driving_images(units, photos, "conv2")
    with pytest.raises(UsageError, match=r"^--channel: a sheet has room for 100 channels, not 101; draw several"):
        driving_images(units, photos, "conv1", range(101))
    for top in (0, 101):
        with pytest.raises(UsageError, match=rf"^--top must be 1 to 100, not {top}$"):
            driving_images(units, photos, "conv1", top=top)
    units.model.weights["conv1/bias"][0] = np.nan  # type: ignore[index]
    with pytest.raises(WeightsError, match=r"^the output for .*00\.png is not finite: the weights are damaged"):
        driving_images(units, photos, "conv1")


def test_a_sheet_of_a_colour_network(tiny_model: Model, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = image_folder(stripes=6, dots=6)
    images = sorted(folder.rglob("*.png"))
    found = show_driving_images(Classifier(tiny_model), tmp_path / "sheet.png", images, "conv2", top=4)
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None
    assert len(found.channels) == 16
    largest = [each.images[0].value for each in found.channels]
    assert largest == sorted(largest, reverse=True)
    # The crop of the strongest unit has the colours of the image, in RGB.
    network, image = tiny_model.network, found.channels[0].images[0]
    features = next(Classifier(tiny_model).features([str(image.path)], "conv2")).values
    assert features is not None
    maps = features[..., found.channels[0].channel]
    row, column = np.unravel_index(maps.argmax(), maps.shape)
    rows, columns = (seen_pixels(network, "conv2", int(each)) for each in (row, column))
    square = read_input(Path(str(image.path)), network.preprocessing)
    assert isinstance(square, np.ndarray)
    seen = square[rows.start : rows.stop, columns.start : columns.stop, ::-1]
    assert (len(rows), len(columns)) == seen.shape[:2]
    height, width = image.crop.shape[:2]
    corners = [
        image.crop[top : top + len(rows), left : left + len(columns)]
        for top in (0, height - len(rows))
        for left in (0, width - len(columns))
    ]
    assert any(np.array_equal(corner, seen) for corner in corners)
