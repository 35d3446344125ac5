"""Nearly identical images are in one split, if finetune makes the split."""

import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.check import copies_together
from finetune.check.check import check
from finetune.check.copies_together import keep_copies_together
from finetune.check.look import ImageLook
from finetune.check.look_cache import read_looks
from finetune.data import decode
from finetune.data.dataset import Dataset, LabelledFile
from finetune.data.read_data import read_data
from finetune.errors import DataError


@pytest.fixture
def data(image_folder: Callable[..., Path]) -> Path:
    """Two classes of six textures; each has a near copy, another JPEG of the same pixels, and one has two."""
    root = image_folder(stripes=6, dots=6)
    for path in sorted(root.rglob("*.png")):
        image = cv2.imread(str(path))
        cv2.imwrite(str(path.with_name(f"{path.stem}-copy.jpg")), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    cv2.imwrite(str(root / "dots" / "0-again.jpg"), cv2.imread(str(root / "dots" / "0.png")))
    return root


def divided(dataset: Dataset) -> int:
    """The number of textures that have images in both splits, by their names."""
    splits: dict[tuple[int, str], set[str]] = {}
    for record in dataset.records:
        splits.setdefault((record.label, record.path.stem[0]), set()).add(record.split)
    return sum(len(found) > 1 for found in splits.values())


def test_near_copies_are_in_one_split(data: Path) -> None:
    by_bytes = read_data(data, 0.4)
    assert divided(by_bytes) > 0
    together = keep_copies_together(by_bytes)
    assert divided(together) == 0
    assert sorted(map(len, together.by_copy())) == [2] * 11 + [3]
    assert [record._replace(split="val") for record in together.records] == [
        record._replace(split="val") for record in by_bytes.records
    ]
    assert {record.split for record in together.records if record.label == 0} == {"train", "val"}
    assert keep_copies_together(together) == together


def test_check_finds_none_of_them_in_both_splits(data: Path) -> None:
    """It splits as a training does by default, for a folder and for a list: nothing is held out."""
    lines = "".join(f"{path},{path.parent.name}\n" for path in sorted(data.rglob("*.*g")))
    (data / "list.csv").write_text("path,label\n" + lines)
    expected = {record.path: record.split for record in read_data(data).all_to_train().records}
    for form in (data, data / "list.csv"):
        checked = check(form)
        assert {image.file.path: image.file.split for image in checked.looks} == expected
        assert not checked.of("near-sides")
        assert len(checked.of("near")) == 12


def test_splits_of_the_data_stay(data: Path) -> None:
    splits = ("train", "val")
    lines = [
        f"{path},{path.parent.name},{splits[number % 2]}" for number, path in enumerate(sorted(data.rglob("*.*g")))
    ]
    (data / "list.csv").write_text("\n".join(["path,label,split", *lines]))
    dataset = read_data(data / "list.csv")
    assert dataset.val_fraction is None
    together = keep_copies_together(dataset)
    assert together == dataset
    assert sorted(map(len, together.by_copy())) == [2] * 11 + [3]
    assert divided(together) > 0


def test_too_many_images_to_compare(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(copies_together, "MOST_IMAGES", 24)
    dataset = read_data(data)
    assert keep_copies_together(dataset) is dataset
    assert caplog.messages == ["nearly identical images may be in both splits: only up to 24 images are compared"]
    monkeypatch.setattr(copies_together, "MOST_IMAGES", 25)
    assert keep_copies_together(dataset).copies


def test_the_second_time_decodes_new_images_only(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []

    def look(file: LabelledFile) -> ImageLook:
        looked.append(file.path)
        return actual_look(file)

    actual_look = copies_together.look
    monkeypatch.setattr(copies_together, "look", look)
    first = keep_copies_together(read_data(data))
    assert len(looked) == 25
    looked.clear()
    assert keep_copies_together(read_data(data)) == first
    assert not looked
    (data / "dots" / "new.png").write_bytes((data / "dots" / "1.png").read_bytes() + b"more")
    keep_copies_together(read_data(data))
    assert looked == [data / "dots" / "new.png"]


def test_without_the_cache_nothing_is_kept(data: Path) -> None:
    keep_copies_together(read_data(data), cache=False)
    assert read_looks() == {}


def doubtful(data: Path) -> None:
    """Add an image that cannot be decoded though its header can be read, a damaged one and two dim ones."""
    photo = cv2.imencode(".jpg", cv2.imread(str(data / "dots" / "0.png")))[1].tobytes()
    (data / "dots" / "cut.jpg").write_bytes(photo[: len(photo) // 2] + b"\xff\xd9")
    png = (data / "dots" / "1.png").read_bytes()
    at = png.index(b"IDAT")
    broken = png[: at + 4] + b"\0\0" + png[at + 6 :]
    length = int.from_bytes(png[at - 4 : at])
    checksum = zlib.crc32(broken[at : at + 4 + length]).to_bytes(4)
    (data / "dots" / "broken.png").write_bytes(broken[: at + 4 + length] + checksum + broken[at + 8 + length :])
    for number in range(2):
        pixels = cv2.imread(str(data / "dots" / f"{number}.png")).astype(np.uint16)
        cv2.imwrite(str(data / "dots" / f"dim{number}.png"), pixels << 4)


def test_doubtful_images_are_warned_of_each_time(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also from the cache, so that a training says what its dry run said."""
    doubtful(data)
    lines = []
    for _ in range(2):
        caplog.clear()
        decode._dim.clear()
        decode._warn.cache_clear()
        dataset = keep_copies_together(read_data(data))
        assert [skipped.path.name for skipped in dataset.skipped] == ["broken.png"]
        assert dataset.skipped[0].reason == "the PNG data is damaged or cut short"
        lines.append(caplog.messages)
    assert lines[0] == lines[1]
    assert lines[0] == [
        f"{data}/dots/cut.jpg is damaged (premature end of data segment), and the decoder may have guessed pixels; "
        "get the file again",
        f"2 images are dark ({data}/dots/dim0.png, …): their 16-bit values use less than half of their range; scale "
        "them to 65535",
    ]


def test_too_few_images_that_can_be_decoded(data: Path) -> None:
    doubtful(data)
    for path in (data / "dots").iterdir():
        if path.name != "broken.png":
            path.unlink()
    (data / "dots" / "copy.png").write_bytes((data / "dots" / "broken.png").read_bytes())
    dataset = read_data(data)
    with pytest.raises(DataError, match=r"no readable image to train on for class 'dots'; .*; 2 skipped, the first: "):
        keep_copies_together(dataset)
