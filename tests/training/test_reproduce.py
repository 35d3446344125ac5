"""Published results: the splits, the measures by hand, and the whole on small drawn sets of the same layout."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.published_layouts import draw_caltech, draw_flowers

from finetune.data.dataset import Dataset, Record
from finetune.errors import DataError, UsageError
from finetune.training.plan import SourceWeights
from finetune.training.published_tables import TABLES, ProbeSplit, caltech101_splits, official_split
from finetune.training.reproduce import (
    Reproduction,
    SplitResult,
    mean_class_accuracy,
    measure,
    reproduce,
    write_reproduction,
)


def dataset(*counts: int) -> Dataset:
    """As many images of each class, in order."""
    labels = np.repeat(np.arange(len(counts)), counts)
    records = tuple(Record(Path(f"{n}.jpg"), int(label), "train", f"{n:064d}") for n, label in enumerate(labels))
    return Dataset(records, tuple(f"class {number}" for number in range(len(counts))))


def test_every_class_counts_the_same() -> None:
    """3 of 4 images of class 0, 0 of 1 of class 2 and 1 of 1 of class 5: (3/4 + 0 + 1) / 3, not 4 of 6."""
    labels = np.array([0, 0, 2, 0, 5, 0])
    hits = np.array([True, False, False, True, True, True])
    assert mean_class_accuracy(labels, hits) == pytest.approx((0.75 + 0 + 1) / 3)


def test_the_splits_of_caltech() -> None:
    """Of 40 and 31 images, 25 + 5 of each are trained on, and 10 + 1 tested; each of the ten splits draws others."""
    data = dataset(40, 31)
    labels = np.array([record.label for record in data.records])
    splits = list(caltech101_splits(data))
    assert len(splits) == 10
    for split in splits:
        assert [np.bincount(labels[part]).tolist() for part in split] == [[25, 25], [5, 5], [30, 30], [10, 1]]
        assert sorted([*split.inner, *split.held_out]) == sorted(split.fitted)
        assert sorted([*split.fitted, *split.test]) == list(range(71))
    assert len({tuple(sorted(split.test)) for split in splits}) == 10
    again = list(caltech101_splits(data))
    assert all(np.array_equal(one.test, other.test) for one, other in zip(splits, again, strict=True))


def test_too_few_images_of_a_class() -> None:
    with pytest.raises(DataError) as error:
        next(caltech101_splits(dataset(40, 30)))
    assert str(error.value) == (
        "expected 31 readable images or more of each class, but class 1 has 30; unpack the images again"
    )


def test_the_official_split() -> None:
    data = dataset(3, 3)
    names = ("train", "val", "test", "test", "train", "val")
    data = replace(data, records=tuple(one._replace(split=name) for one, name in zip(data.records, names, strict=True)))
    (split,) = official_split(data)
    assert [part.tolist() for part in split] == [[0, 4], [1, 5], [0, 4], [2, 3]]


def test_what_a_split_measures() -> None:
    """The first value shows the class, but of one test image of class 0 and of two of class 1 that of the other one."""
    data = dataset(8, 10)
    labels = np.array([record.label for record in data.records])
    rows = np.random.default_rng(0).normal(0, 0.1, (18, 3)).astype(np.float32)
    rows[:, 0] += 4 * labels
    wrong = [7, 16, 17]
    rows[wrong, 0] = 4 * (1 - labels[wrong])
    inner, held_out = np.array([0, 1, 2, 8, 9, 10]), np.array([3, 11])
    test = np.array([4, 5, 6, 7, *range(12, 18)])
    found = measure(rows, data, ProbeSplit(inner, held_out, np.concatenate([inner, held_out]), test))
    assert found.test_images == 10
    assert found.accuracy == pytest.approx(7 / 10)
    assert found.mean_class_accuracy == pytest.approx((3 / 4 + 4 / 6) / 2)


def test_the_images_that_choose_the_strength_are_trained_on_after_that() -> None:
    """Class 1 is at 4 in the first value, but held out and test images of it are at 9 in the second one."""
    data = dataset(8, 8)
    rows = np.random.default_rng(0).normal(0, 0.1, (16, 2)).astype(np.float32)
    rows[8:12, 0] += 4
    rows[12:, 1] += 9
    inner, held_out, test = np.array([0, 1, 8, 9]), np.array([2, 3, 12, 13]), np.array([4, 5, 14, 15])
    found = measure(rows, data, ProbeSplit(inner, held_out, np.concatenate([inner, held_out]), test))
    assert found.accuracy == 1
    assert measure(rows, data, ProbeSplit(inner, held_out, inner, test)).accuracy == 0.5


def test_which_accuracy_is_compared() -> None:
    splits = (SplitResult(1.0, 10, 0.5, 0.7), SplitResult(1.0, 10, 0.6, 0.9))
    found = {
        name: Reproduction(table, SourceWeights("starter", "ab"), "alexnet", 99, 3, splits).accuracies.tolist()
        for name, table in TABLES.items()
    }
    assert found == {"caltech101": pytest.approx([70, 90]), "flowers102": pytest.approx([50, 60])}


@pytest.mark.tensorflow
@pytest.mark.slow
def test_caltech_from_images_to_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Features are computed once for all splits, and not again from the cache; a damaged image is skipped."""
    from finetune.training import features

    read: list[Path] = []
    original = features.read_bytes
    monkeypatch.setattr(features, "read_bytes", lambda path: (read.append(path), original(path))[1])
    folder = draw_caltech(tmp_path)
    found = reproduce(TABLES["caltech101"], folder, "starter")
    assert len(read) == len(set(read)) == found.images == 99
    assert (found.classes, found.weights.name, found.network) == (3, "starter", "alexnet")
    assert [split.test_images for split in found.splits] == [9] * 10
    assert found.accuracies.mean() > 90, "textures are easy"
    warning = "these images have 3 classes, and those of the published result 102; compare with care"
    assert warning in [record.getMessage() for record in caplog.records]

    (folder / "crab" / "image_0034.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a JPEG")
    read.clear()
    again = reproduce(TABLES["caltech101"], tmp_path, "starter")
    assert "skipped, since they cannot be read: 1 image, the first: " in caplog.text
    assert not [path for path in read if path.name != "image_0034.jpg"]
    assert again.splits == found.splits

    out = tmp_path / "result.json"
    write_reproduction(out, found)
    result = json.loads(out.read_text())
    assert result["ours"] == pytest.approx(100 * np.mean([split["mean_class_accuracy"] for split in result["splits"]]))
    assert (result["published"], result["weights"]["name"], result["layer"]) == (86.9, "starter", "fc6")


@pytest.mark.tensorflow
@pytest.mark.slow
def test_flowers_from_images(tmp_path: Path) -> None:
    found = reproduce(TABLES["flowers102"], draw_flowers(tmp_path / "flowers"), "starter")
    (split,) = found.splits
    assert (found.images, found.classes, split.test_images) == (30, 2, 18)
    assert split.accuracy > 0.9
    assert found.to_json()["standard_deviation"] is None


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    splits = (SplitResult(1.0, 9, 1.0, 1.0),)
    found = Reproduction(TABLES["flowers102"], SourceWeights("starter", "ab"), "alexnet", 9, 3, splits)
    with pytest.raises(UsageError) as error:
        write_reproduction(tmp_path / "none" / "result.json", found)
    assert str(error.value) == (
        f"--out {tmp_path}/none/result.json cannot be written (No such file or directory); choose another --out"
    )
