"""MNIST's IDX files as data: splits, classes, and files that are missing, damaged or do not fit together."""

import gzip
import logging
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.encoded_images import idx

from finetune.data.images import read_image
from finetune.data.read_data import all_files, labelled_files, read_data
from finetune.errors import DataError

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def digits(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return drawn digits of 28 × 28 pixels, no two alike, and their labels: 0 to 9 in turn."""
    chance = np.random.default_rng(seed)
    images, labels = np.zeros((count, 28, 28), np.uint8), (np.arange(count) % 10).astype(np.uint8)
    for number, label in enumerate(labels):
        place = chance.integers(3, 9), chance.integers(20, 26)
        cv2.putText(images[number], str(label), place, cv2.FONT_HERSHEY_SIMPLEX, chance.uniform(0.6, 0.9), 255, 2)
        images[number, 0, :2] = divmod(number, 256)
    return images, labels


def write_mnist(folder: Path, *arrays: NDArray[np.uint8], names: tuple[str, ...] = NAMES) -> Path:
    """Write the files in the order of `names`; those that end with .gz are compressed."""
    folder.mkdir(exist_ok=True)
    for name, values in zip(names, arrays, strict=False):
        content = idx(values)
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("dot", ["-", "."])
def test_the_training_files_are_split_and_t10k_is_left_for_evaluation(
    tmp_path: Path, dot: str, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = tuple(name.replace("-idx", dot + "idx") + ending for name in NAMES)
    root = write_mnist(tmp_path, *digits(20), *digits(10, seed=1), names=names)
    with caplog.at_level(logging.INFO):
        dataset = read_data(root, 0.5)
    assert caplog.messages == [
        f"not used in training: the split test of {root}, 10 images (evaluate --data {root} --split test)"
    ]
    assert dataset.class_names == tuple("0123456789")
    assert (dataset.skipped, dataset.val_fraction) == ((), 0.5)
    assert [(record.path, record.label) for record in dataset.records] == [
        (root / f"{names[0]}#{i}", i % 10) for i in range(20)
    ]
    assert Counter((record.label, record.split) for record in dataset.records) == {
        (label, split): 1 for label in range(10) for split in ("train", "val")
    }
    assert [(file.path, file.class_name) for file in labelled_files(root)] == [
        (root / f"{names[2]}#{i}", str(i % 10)) for i in range(10)
    ]


def test_without_t10k_each_class_is_split(tmp_path: Path) -> None:
    dataset = read_data(write_mnist(tmp_path, *digits(100)), val_fraction=0.3)
    assert Counter((record.label, record.split) for record in dataset.records) == {
        **{(label, "train"): 7 for label in range(10)},
        **{(label, "val"): 3 for label in range(10)},
    }


def test_identical_images_are_in_one_split(tmp_path: Path) -> None:
    images, labels = digits(20)
    dataset = read_data(write_mnist(tmp_path, np.concatenate([images, images]), np.concatenate([labels, labels])))
    splits = {(record.digest, record.split) for record in dataset.records}
    assert len(splits) == len({record.digest for record in dataset.records}) == 20


def test_labels_that_occur_are_the_classes_by_value(tmp_path: Path) -> None:
    """EMNIST has more than ten classes; a label that never occurs is not one."""
    images, _ = digits(6)
    dataset = read_data(write_mnist(tmp_path, images, np.array([10, 2, 46, 10, 2, 46], np.uint8)))
    assert dataset.class_names == ("2", "10", "46")
    assert [record.label for record in dataset.records] == [1, 0, 2, 1, 0, 2]


def test_pngs_and_idx_files_give_the_same_images_and_records(tmp_path: Path) -> None:
    images, labels = digits(200)
    mnist = read_data(write_mnist(tmp_path / "mnist", images, labels))
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "png" / str(label) / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    folder = read_data(tmp_path / "png")
    assert folder.class_names == mnist.class_names
    by_number = {int(record.path.stem): record for record in folder.records}
    assert len(by_number) == len(mnist.records) == 200
    for number, record in enumerate(mnist.records):
        assert record.label == by_number[number].label
        np.testing.assert_array_equal(read_image(record.path), read_image(by_number[number].path))


@pytest.mark.parametrize("missing", NAMES)
def test_a_missing_file(tmp_path: Path, missing: str) -> None:
    root = write_mnist(tmp_path, *digits(20), *digits(10))
    (root / missing).unlink()
    with pytest.raises(DataError) as caught:
        all_files(root)
    assert str(caught.value) == f"{root} has no {missing}, with or without .gz; images and labels belong together"


def test_counts_differ(tmp_path: Path) -> None:
    images, labels = digits(20)
    root = write_mnist(tmp_path, images, labels[:19])
    with pytest.raises(DataError) as caught:
        read_data(root)
    assert str(caught.value) == (f"{root / NAMES[0]} has 20 images, but {NAMES[1]} has 19 labels; get both files again")


@pytest.mark.parametrize("damaged", NAMES)
def test_a_damaged_file_is_named(tmp_path: Path, damaged: str, caplog: pytest.LogCaptureFixture) -> None:
    root = write_mnist(tmp_path, *digits(20), *digits(10))
    (root / damaged).write_bytes((root / damaged).read_bytes()[:-1])
    with pytest.raises(DataError) as caught:
        all_files(root)
    assert str(caught.value).startswith(f"{root / damaged}: the IDX header says ")
    if damaged.startswith("t10k"):
        assert len(read_data(root).records) == 20, "training does not use them"
        (warning,) = caplog.messages
        assert warning.startswith(
            f"not used in training, and cannot be evaluated: the split test of {root} ({root / damaged}: the IDX header"
        )
        with pytest.raises(DataError, match="the IDX header says"):
            labelled_files(root)  # rather than evaluate the training images
        assert len(labelled_files(root, "train")) == 20


@pytest.mark.parametrize("missing", NAMES[2:])
def test_half_a_test_pair_is_named_in_training(tmp_path: Path, missing: str, caplog: pytest.LogCaptureFixture) -> None:
    root = write_mnist(tmp_path, *digits(20), *digits(10))
    (root / missing).unlink()
    assert len(read_data(root).records) == 20
    assert caplog.messages == [
        f"not used in training, and cannot be evaluated: the split test of {root} ({root} has no {missing}, with or "
        "without .gz; images and labels belong together)"
    ]


def test_classes_that_cannot_be_trained_on(tmp_path: Path) -> None:
    images, labels = digits(20)
    root = write_mnist(tmp_path, images, labels % 9, images, labels)
    assert read_data(root).class_names == tuple("012345678"), "a class may be in t10k only"
    root = write_mnist(tmp_path, images, labels * 0)
    with pytest.raises(DataError, match=r"^expected at least two classes in the train labels of .*, found only '0'; "):
        read_data(root)


@pytest.mark.slow
def test_as_many_as_mnist(tmp_path: Path) -> None:
    records = read_data(write_mnist(tmp_path, *digits(60_000), *digits(10_000, seed=1))).records
    assert Counter(record.split for record in records) == {"train": 48_000, "val": 12_000}
    assert len({record.digest for record in records}) == 60_000
