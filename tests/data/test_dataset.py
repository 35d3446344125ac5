"""The records: what is hashed, skipped and assigned to a split, and data that cannot be trained on."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from support.encoded_images import encode

from finetune.data.dataset import (
    Dataset,
    LabelledFile,
    Record,
    Skipped,
    check_validation_names,
    make_dataset,
    make_listed_dataset,
    sort_names,
)
from finetune.data.image_kinds import IMAGE_KINDS
from finetune.errors import DataError, UsageError


def file(folder: Path, name: str, number: int | None) -> Path:
    """Write a small image that no other number has; None writes a file that is not an image."""
    path = folder / name
    path.write_bytes(b"words" if number is None else encode(Image.new("RGB", (4, 3), (number, 0, 7)), "PNG"))
    return path


def test_files_become_records_in_their_order(tmp_path: Path) -> None:
    """Files with a split keep it; the others are split by their bytes, whatever those with a split are."""
    paths = [file(tmp_path, f"{number}.png", number) for number in range(6)]
    splits = ("val", "train", None, None, None, "train")
    files = [
        LabelledFile(path, "ab"[number % 2], split)  # type: ignore[arg-type]
        for number, (path, split) in enumerate(zip(paths, splits, strict=True))
    ]
    dataset = make_dataset(files, ("a", "b"), 0.5)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert [(r.path, r.label, r.digest) for r in dataset.records] == [
        (path, number % 2, digest) for number, (path, digest) in enumerate(zip(paths, digests, strict=True))
    ]
    assert [record.split for record in dataset.records[:2]] == ["val", "train"]
    smaller = min(digests[2], digests[4])  # class a: one of two validates; class b: one alone is trained on
    assert [record.split for record in dataset.records[2:]] == [
        "val" if digests[2] == smaller else "train", "train", "val" if digests[4] == smaller else "train", "train",
    ]  # fmt: skip


def test_files_with_a_split_do_not_count_for_the_share_of_the_others(tmp_path: Path) -> None:
    """Two files without a split: one of them validates, though theirs are the first digests of the class."""
    paths = [file(tmp_path, f"{number}.png", number) for number in range(10)]
    first, second, *others = sorted(paths, key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    files = [LabelledFile(first, "a", None), LabelledFile(second, "a", None)]
    files += [LabelledFile(path, "a", "train") for path in others]
    assert [record.split for record in make_dataset(files, ("a",), 0.5).records] == ["val", *["train"] * 9]


def test_a_file_keeps_its_split_whatever_its_copies_get(tmp_path: Path) -> None:
    copies = [file(tmp_path, f"{name}.png", 1) for name in "xy"]
    other = file(tmp_path, "z.png", 2)
    files = [LabelledFile(copies[0], "a", "val"), LabelledFile(copies[1], "b", None), LabelledFile(other, "a", "train")]
    assert [record.split for record in make_dataset(files, ("a", "b"), 0.5).records] == ["val", "train", "train"]


def test_unreadable_files_are_skipped_with_the_reason(tmp_path: Path) -> None:
    files = [LabelledFile(file(tmp_path, f"{n}.png", n), "ab"[n % 2], None) for n in range(4)]
    files.insert(1, LabelledFile(file(tmp_path, "words.png", None), "a", None))
    files.append(LabelledFile(tmp_path / "gone.png", "b", "train"))
    dataset = make_dataset(files, ("a", "b"), 0.5)
    assert len(dataset.records) == 4
    assert [tuple(skipped) for skipped in dataset.skipped] == [
        (
            tmp_path / "words.png",
            f"not an image: expected {', '.join(IMAGE_KINDS)}; the file begins with b'words'",
        ),
        (tmp_path / "gone.png", "cannot be opened (No such file or directory)"),
    ]


def dataset(*splits: str, skipped: int = 0) -> Dataset:
    """Return a dataset of the classes ants and bees in turn, with these splits."""
    records = tuple(
        Record(Path(f"{number}.png"), number % 2, split, f"{number:064x}")  # type: ignore[arg-type]
        for number, split in enumerate(splits)
    )
    return Dataset(records, ("ants", "bees"), tuple(Skipped(Path(f"{n}.gif"), "why") for n in range(skipped)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (dataset(), "no readable image was found"),
        (dataset(skipped=2), "no readable image was found; 2 skipped, the first: 0.gif: why"),
        (
            dataset("train", "val"),
            "no readable image to train on for class 'bees'; add images or remove the class",
        ),
        (
            dataset("val", "val", skipped=1),
            "no readable image to train on for class 'ants', 'bees'; add images or remove the class; "
            "1 skipped, the first: 0.gif: why",
        ),
        (
            dataset("train", "train"),
            "no image is left for validation; add images: at least two per class, or some for validation",
        ),
    ],
)
def test_data_that_cannot_be_trained_on(data: Dataset, message: str) -> None:
    with pytest.raises(DataError) as caught:
        data.check()
    assert str(caught.value) == message


def test_a_single_group_cannot_validate() -> None:
    grouped = dataset("train", "train")
    grouped = Dataset(tuple(record._replace(group="g") for record in grouped.records), grouped.class_names)
    with pytest.raises(DataError) as caught:
        grouped.check()
    assert str(caught.value) == (
        "no image is left for validation; add images: at least two groups (--group-by) per class, "
        "or some for validation"
    )


def test_groups_and_those_in_two_splits() -> None:
    names = ("p1", "p2", "", "p1", "p2", "")
    whole = dataset("train", "train", "train", "val", "train", "val")
    records = tuple(record._replace(group=name) for record, name in zip(whole.records, names, strict=True))
    grouped = Dataset(records, whole.class_names)
    assert grouped.by_group() == {"p1": [records[0], records[3]], "p2": [records[1], records[4]]}
    assert grouped.divided_groups() == {"p1": [records[0], records[3]]}
    assert whole.by_group() == whole.divided_groups() == {}


def test_a_group_is_in_one_split(tmp_path: Path) -> None:
    """Groups of files; a file of another group with the same bytes; files that cannot be read do not count."""
    files = [
        LabelledFile(file(tmp_path, f"{n}.png", n), "ab"[n % 2], None, f"g{n // 4}" if n < 16 else "")
        for n in range(20)
    ]
    files.append(LabelledFile(file(tmp_path, "copy.png", 0), "a", None, "g3"))
    files.append(LabelledFile(file(tmp_path, "words.png", None), "a", None, "g2"))
    records = make_dataset(files, ("a", "b"), 0.3).records
    assert [record.group for record in records] == [each.group for each in files[:-1]]
    splits = {name: {record.split for record in records if record.group == name} for name in ("g0", "g1", "g2", "g3")}
    assert all(len(found) == 1 for found in splits.values())
    assert splits["g0"] == splits["g3"], "they share an image"


def test_files_with_a_split_keep_it_whatever_their_group_says(tmp_path: Path) -> None:
    splits = ("train", "val", "train", "train")
    files = [
        LabelledFile(file(tmp_path, f"{n}.png", n), "ab"[n % 2], split, "g")  # type: ignore[arg-type]
        for n, split in enumerate(splits)
    ]
    dataset = make_dataset(files, ("a", "b"), 0.5)
    assert tuple(record.split for record in dataset.records) == splits
    assert list(dataset.divided_groups()) == ["g"]


def test_groups_by_path(tmp_path: Path) -> None:
    """Four of ten images validate, as whole groups of two; files that bring a group refuse another."""
    files = [LabelledFile(file(tmp_path, f"{n // 2}-{n}.png", n), "a", None) for n in range(10)]
    records = make_dataset(files, ("a",), 0.4, r"(\d)-\d\.").records
    assert [record.group for record in records] == list("0011223344")
    assert [record.split for record in records].count("val") == 4
    assert all(one.split == other.split for one, other in zip(records[::2], records[1::2], strict=True))
    with pytest.raises(UsageError) as caught:
        make_dataset([*files, files[0]._replace(group="g")], ("a",), 0.4, "parent")
    assert str(caught.value) == (
        "the data has groups, in its column group, and --group-by names others; omit --group-by"
    )


def test_copies_are_in_one_split(tmp_path: Path) -> None:
    """With the groups, which stay; images of one group, or of one group of copies, cannot be divided."""
    files = [
        LabelledFile(file(tmp_path, f"{n}.png", n), "ab"[n % 2], None, "g" if n in (2, 4) else "") for n in range(12)
    ]
    dataset = make_dataset(files, ("a", "b"), 0.4)
    digests = [record.digest for record in dataset.records]
    for copies in ([[digests[0], digests[2]], [digests[1], digests[3]]], [[digests[8], digests[9], digests[5]]]):
        together = dataset.with_copies(copies)
        splits = {record.digest: record.split for record in together.records}
        assert all(len({splits[digest] for digest in group}) == 1 for group in (*copies, [digests[2], digests[4]]))
        found = [[record.digest for record in same] for same in together.by_copy()]
        assert sorted(map(sorted, found)) == sorted(map(sorted, copies))
        assert together.without({}).copies == together.copies
    everything = dataset.with_copies([digests])
    assert everything.records == dataset.records, "nothing could validate"
    assert len(everything.by_copy()) == 1
    assert dataset.by_copy() == []


def test_splits_of_the_data_are_not_made_again() -> None:
    given = dataset("train", "train", "val")
    digests = [record.digest for record in given.records]
    together = given.with_copies([digests])
    assert together.records == given.records
    assert together.copies == (tuple(digests),)


def test_one_image_that_validates_is_enough() -> None:
    dataset("train", "train", "val").check()


def test_without_unreadable_images() -> None:
    """A new dataset: the old one is not changed."""
    whole = dataset("train", "train", "val", "train", skipped=1)
    less = whole.without({Path("3.png"): "damaged"})
    assert [record.path.name for record in less.records] == ["0.png", "1.png", "2.png"]
    assert less.class_names == whole.class_names
    assert [tuple(skipped) for skipped in less.skipped] == [(Path("0.gif"), "why"), (Path("3.png"), "damaged")]
    assert len(whole.records) == 4
    with pytest.raises(DataError, match=r"^no readable image to train on for class 'bees'; .*; 3 skipped, the first: "):
        whole.without({Path("1.png"): "damaged", Path("3.png"): "damaged"})
    with pytest.raises(DataError, match=r"^no image is left for validation"):
        whole.without({Path("2.png"): "damaged"})


def test_every_image_to_train_on() -> None:
    """Only where the share was ours to hold out: what the data holds out itself stays."""
    whole = dataset("train", "train", "val", "val", skipped=1)
    assert whole.all_to_train() is whole, "the data brought its own splits"
    ours = replace(whole, val_fraction=0.5, copies=(("a", "b"),))
    found = ours.all_to_train()
    assert [record.split for record in found.records] == ["train"] * 4
    assert [record._replace(split="val") for record in found.records[2:]] == list(ours.records[2:])
    assert (found.class_names, found.skipped, found.copies) == (ours.class_names, ours.skipped, ours.copies)
    assert [record.split for record in ours.records] == ["train", "train", "val", "val"], "the old one is not changed"


def test_without_unreadable_images_where_none_validates() -> None:
    """No image for validation was needed before, and none is needed after; a class still needs one to train on."""
    whole = dataset("train", "train", "train")
    less = whole.without({Path("0.png"): "damaged"})
    assert [record.path.name for record in less.records] == ["1.png", "2.png"]
    with pytest.raises(DataError, match=r"^no readable image to train on for class 'bees'; "):
        whole.without({Path("1.png"): "damaged"})
    with pytest.raises(DataError, match=r"^no readable image was found; 3 skipped, the first: 0\.png: damaged$"):
        whole.without({Path(f"{number}.png"): "damaged" for number in range(3)})


def test_check_without_validation() -> None:
    dataset("train", "train").check(validation=False)
    with pytest.raises(DataError, match=r"^no readable image to train on for class 'bees'; "):
        dataset("train", "val").check(validation=False)


def listed(*files: tuple[str, str | None]) -> list[LabelledFile]:
    return [LabelledFile(Path(f"{n}.png"), name, split) for n, (name, split) in enumerate(files)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (listed(), "expected at least two classes in HERE, found none; add images of another class"),
        (
            listed(("ants", "train"), ("bees", "val")),
            "expected at least two classes in HERE, found only 'ants'; add images of another class",
        ),
        (
            listed(("ants", "train"), ("bees", "train"), ("bee", "val")),
            "class 'bee' is in THERE but not in HERE (did you mean bees?); every class needs images to train on",
        ),
    ],
)
def test_the_classes_of_a_list_are_those_trained_on(files: list[LabelledFile], message: str) -> None:
    with pytest.raises(DataError) as caught:
        make_listed_dataset(files, "HERE", "THERE", 0.2)
    assert str(caught.value) == message


def test_validation_names() -> None:
    check_validation_names(["b", "a", "b"], ("a", "b", "c"), "x", "y")
    with pytest.raises(DataError, match=r"^class 'zebra' is in y but not in x; every class needs images to train on$"):
        check_validation_names(["b", "zebra"], ("a", "b", "c"), "x", "y")


def test_numbers_are_sorted_by_value() -> None:
    assert sort_names(["10", "9", "x"]) == ("10", "9", "x")
    assert sort_names(["10", "9"]) == ("9", "10")
    assert sort_names(["2", "01", "1", "0"]) == ("0", "01", "1", "2")
    assert sort_names(["9" * 5000, "1" * 5000]) == ("1" * 5000, "9" * 5000)
