"""Splits by digest: shares, stability when images are added, and identical files; folders by their names."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from support.encoded_images import encode

from finetune.data.folder import read_folder
from finetune.data.split import split_by_digest

Labelled = list[tuple[int, str]]


def digests(count: int, seed: int = 0) -> list[str]:
    chance = random.Random(seed)
    return [f"{chance.getrandbits(256):064x}" for _ in range(count)]


def of_class(label: int, names: list[str]) -> Labelled:
    return [(label, name) for name in names]


def validation(labelled: Labelled, fraction: float = 0.2) -> set[str]:
    return {digest for digest, split in split_by_digest(labelled, fraction).items() if split == "val"}


def test_the_first_share_by_digest_validates() -> None:
    labelled = of_class(0, ["e", "a", "d", "b", "c"]) + of_class(1, ["i", "h", "g", "f"])
    assert validation(labelled, 0.4) == {"a", "b", "f", "g"}  # 2 of 5; 1.6 of 4 is 2
    assert validation(labelled, 0.2) == {"a", "f"}


@pytest.mark.parametrize(("count", "fraction", "share"), [
    (1, 0.2, 0), (2, 0.2, 1), (3, 0.2, 1), (10, 0.2, 2), (12, 0.2, 2), (13, 0.2, 3), (100, 0.2, 20),
    (2, 0.9, 1), (10, 0.99, 9), (10, 0.01, 1), (1, 0.9, 0),
])  # fmt: skip
def test_share_of_a_class(count: int, fraction: float, share: int) -> None:
    """Rounded, but at least one in both splits if there are two images; a single one is trained on."""
    assert len(validation(of_class(0, digests(count)), fraction)) == share


def test_every_class_gives_the_same_share_independently() -> None:
    few, many = digests(5, seed=1), digests(500, seed=2)
    both = validation(of_class(0, few) + of_class(1, many))
    assert (len(both & set(few)), len(both & set(many))) == (1, 100)
    assert both == validation(of_class(0, few)) | validation(of_class(1, many))


def test_order_and_repetition_of_the_files_do_not_matter() -> None:
    labelled = of_class(0, digests(20, seed=1)) + of_class(1, digests(30, seed=2))
    shuffled = random.Random(0).sample(labelled * 2, 100)
    assert split_by_digest(shuffled, 0.2) == split_by_digest(labelled, 0.2)


def test_an_added_image_moves_at_most_one_other_and_none_of_another_class() -> None:
    others = of_class(1, digests(40, seed=9))
    names = digests(60)
    before = split_by_digest(others + of_class(0, names[:1]), 0.2)
    for count in range(2, len(names) + 1):
        after = split_by_digest(others + of_class(0, names[:count]), 0.2)
        moved = [digest for digest, split in before.items() if after[digest] != split]
        assert len(moved) <= 1
        assert all(digest in names for digest in moved)
        before = after


def test_identical_files_of_two_classes_leave_no_class_without_images_to_train_on() -> None:
    labelled = of_class(0, ["b", "c"]) + of_class(1, ["a", "b"])
    assert split_by_digest(labelled, 0.2) == {"b": "val", "c": "train", "a": "train"}


def test_no_split_of_a_class_is_empty_when_it_has_two_images_of_its_own() -> None:
    chance = random.Random(0)
    for _ in range(1000):
        shared = digests(4, chance.getrandbits(32))
        labelled: Labelled = []
        for label in range(3):
            own = digests(chance.randint(2, 6), chance.getrandbits(32))
            labelled += of_class(label, own + chance.sample(shared, chance.randint(0, 4)))
        splits = split_by_digest(labelled, chance.choice([0.05, 0.2, 0.5, 0.95]))
        assert set(splits) == {digest for _, digest in labelled}
        for label in range(3):
            assert {splits[digest] for of, digest in labelled if of == label} == {"train", "val"}


def test_time_grows_with_the_files_not_with_files_times_classes() -> None:
    labelled = [(number // 2, digest) for number, digest in enumerate(digests(20_000))]
    started = time.perf_counter()
    assert len(validation(labelled)) == 10_000
    assert time.perf_counter() - started < 2  # 0.1 s is usual; 20,000 × 10,000 steps would take longer than 2 s


def write(folder: Path, *numbers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.new("L", (5, 5), number).save(folder / f"{number}.png")


def test_identical_files_are_never_in_both_splits(tmp_path: Path) -> None:
    """Every image of a is there twice, under two names, and some also in b."""
    write(tmp_path / "a", *range(10))
    write(tmp_path / "a" / "again", *range(10))
    write(tmp_path / "b", *range(5, 20))
    records = read_folder(tmp_path, val_fraction=0.4).records
    assert len(records) == 35
    splits = {(record.digest, record.split) for record in records}
    assert len(splits) == len({record.digest for record in records}) == 20


def test_names_and_places_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "one" / "a", *range(10))
    write(tmp_path / "one" / "b", *range(10, 20))
    for number in range(20):
        path = tmp_path / "two" / ("first" if number < 10 else "second") / f"image {99 - number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(Image.new("L", (5, 5), number), "PNG"))
    one, two = ({r.digest: r.split for r in read_folder(tmp_path / name).records} for name in ("one", "two"))
    assert one == two
    assert Counter(one.values()) == {"train": 16, "val": 4}
