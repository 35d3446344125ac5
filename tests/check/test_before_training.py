"""What the check before training reports without decoding a pixel."""

from pathlib import Path

from finetune.check.before_training import training_warnings
from finetune.data.dataset import Dataset, Record


def dataset(*extra: Record, class_names: tuple[str, ...] = ("ants", "bees")) -> Dataset:
    records = [
        Record(Path(f"{name}{number}.jpg"), label, split, f"{name}{number}{split}")
        for label, name in enumerate(class_names)
        for split in ("train", "val")
        for number in range(12)
    ]
    return Dataset((*records, *extra), class_names)


def test_sound_data_has_no_warnings() -> None:
    assert training_warnings(dataset()) == []


def test_identical_images() -> None:
    sound = dataset().records
    extra = [
        Record(Path("copy.jpg"), 1, "train", sound[0].digest),
        Record(Path("copy2.jpg"), 1, "train", sound[1].digest),
        Record(Path("leak.jpg"), 0, "val", sound[2].digest),
        *(Record(Path(f"leak{number}.jpg"), 0, "val", sound[2].digest) for number in (2, 3)),
    ]
    assert training_warnings(dataset(*extra)) == [
        "2 images are identical in different classes: ants0.jpg ('ants') = copy.jpg ('bees') and 1 more",
        "1 image is identical in different splits: ants2.jpg = leak.jpg = leak2.jpg",
    ]


def test_groups_in_two_splits() -> None:
    """Only the data's own splits can divide a group; the line leads with their count."""
    records = list(dataset().records)
    for number, group in ((0, "p1"), (3, "p2"), (12, "p2"), (1, "p3"), (2, "p3")):
        records[number] = records[number]._replace(group=group)
    assert training_warnings(Dataset(tuple(records), ("ants", "bees"))) == [
        "1 group is in training and validation, as the data's own splits say; the first is 'p2' "
        "(ants3.jpg to train on, ants0.jpg to validate)"
    ]
    records[13] = records[13]._replace(group="p1")
    (line,) = training_warnings(Dataset(tuple(records), ("ants", "bees")))
    assert line == (
        "2 groups are in training and validation, as the data's own splits say; the first is 'p1' "
        "(ants0.jpg to train on, ants1.jpg to validate)"
    )


def test_classes() -> None:
    extra = [Record(Path("wasp.jpg"), 2, "train", "wasp")]
    without = dataset(*extra)
    assert training_warnings(Dataset(without.records, ("ants", "bees", "Ants "))) == [
        "class names that differ only in case, spaces or punctuation: classes 'Ants ', 'ants'",
        "classes that training or validation lacks: class 'Ants ' has no images in validation",
        "classes with few images to train on: 'Ants ' has 1",
        "classes of very different size: 'ants' has 12 to train on, 'Ants ' has 1; "
        "always predicting 'ants' would be right for 48 %",
    ]


def test_many_small_classes_are_one_line() -> None:
    records = [Record(Path(f"{label}.jpg"), label, "train", str(label)) for label in range(7)]
    assert training_warnings(Dataset(tuple(records), tuple("abcdefg"))) == [
        "classes with few images to train on: 'a' has 1; 'b' has 1; 'c' has 1; 'd' has 1; 'e' has 1 and 2 more"
    ]
