"""Splits by digest: shares, stability when images are added, identical files and groups; folders by their names."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.encoded_images import encode

from finetune.choices import SplitName
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
    started = time.process_time()
    assert len(validation(labelled)) == 10_000
    assert time.process_time() - started < 5  # 0.1 s is usual; 20,000 × 10,000 steps take longer than 10 s


FRACTIONS = st.floats(0.01, 0.99)
LABELLED = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcdefghijklmnopqrst")), max_size=40)
REPEATABLE = settings(derandomize=True, deadline=None, max_examples=500)  # the same cases in every run


def split_without_groups(labelled: Labelled, val_fraction: float) -> dict[str, SplitName]:
    """The split of version 0.1.0, which had no groups."""
    by_label: dict[int, set[str]] = {}
    for label, digest in labelled:
        by_label.setdefault(label, set()).add(digest)
    splits: dict[str, SplitName] = {}
    for _, names in sorted(by_label.items()):
        share = min(max(round(len(names) * val_fraction), 1), len(names) - 1)
        share -= sum(splits.get(digest) == "val" for digest in names)
        for rank, digest in enumerate(sorted(digest for digest in names if digest not in splits)):
            splits[digest] = "val" if rank < share else "train"
    return splits


@REPEATABLE
@given(LABELLED, FRACTIONS, st.booleans())
def test_without_groups_the_split_is_that_of_0_1_0(labelled: Labelled, fraction: float, alone: bool) -> None:
    """Groups of a single image are not groups."""
    together = [[digest] for _, digest in labelled] if alone else []
    assert split_by_digest(labelled, fraction, together) == split_without_groups(labelled, fraction)


@REPEATABLE
@given(LABELLED, FRACTIONS, st.data())
def test_no_group_is_in_two_splits_and_every_class_is_trained(
    labelled: Labelled, fraction: float, data: st.DataObject
) -> None:
    """Planted groups, some of which share images, over several classes; copies are digests that occur twice."""
    names = sorted({digest for _, digest in labelled})
    groups = st.lists(st.lists(st.sampled_from(names), min_size=1), max_size=6) if names else st.just([])
    together = data.draw(groups)
    splits = split_by_digest(labelled, fraction, together)
    assert set(splits) == set(names)
    assert all(len({splits[digest] for digest in group}) == 1 for group in together)
    if any(len(set(group)) > 1 for group in together):
        assert {label for label, digest in labelled if splits[digest] == "train"} == {label for label, _ in labelled}


@REPEATABLE
@given(st.lists(st.lists(st.integers(1, 12), min_size=2, max_size=10), min_size=1, max_size=3), FRACTIONS)
def test_groups_within_classes_come_near_the_share(sizes: list[list[int]], fraction: float) -> None:
    """Each class has images to train on and to validate, as near to its share as one group more or less allows."""
    names = iter(digests(360))
    classes = [[[next(names) for _ in range(size)] for size in groups] for groups in sizes]
    labelled = [(label, name) for label, groups in enumerate(classes) for group in groups for name in group]
    splits = split_by_digest(labelled, fraction, [group for groups in classes for group in groups])
    for groups in classes:
        count = sum(map(len, groups))
        share = min(max(round(count * fraction), 1), count - 1)
        kept = [len(group) for group in groups if splits[group[0]] == "train"]
        taken = [len(group) for group in groups if splits[group[0]] == "val"]
        assert kept
        assert taken
        off = sum(taken) - share
        if off < 0 and len(kept) > 1:
            assert min(kept) >= -2 * off, "another group would come nearer"
        if off > 0:
            assert off < max(taken) / 2 or taken == [min(taken + kept)], "one group less would come nearer"


def test_groups_by_hand() -> None:
    """3 of 10 images validate: {a, h} is within the share, {b, c, d} is not any more, {e} is."""
    labelled = of_class(0, list("abcdefghij"))
    together = [["h", "a"], ["d", "b", "c"], ["f", "g"], ["i", "j"]]
    splits = split_by_digest(labelled, 0.3, together)
    assert {digest for digest, split in splits.items() if split == "val"} == set("ahe")
    assert split_by_digest(labelled[::-1], 0.3, [group[::-1] for group in together[::-1]]) == splits


@pytest.mark.parametrize(("sizes", "taken"), [
    ([7, 3], [3]),  # 2 of 10: 3 is too many, but the fewest that can validate
    ([1, 2, 7], [1]),  # 3 is no nearer to 2 than 1 is
    ([1, 3, 6], [1]),  # 4 is not nearer to 2 than 1 is
    ([4, 4, 4, 4, 4], [4]),
    ([9, 9, 9, 9], [9]),  # 7 of 36: 9 is nearer than none
    ([3, 7, 7, 7, 7, 7], [3, 7]),  # 8 of 38: 10 is nearer than 3
    ([7, 6], [6]),
    ([13], []),
])  # fmt: skip
def test_how_near_groups_come_to_a_fifth(sizes: list[int], taken: list[int]) -> None:
    names = iter(f"{number:03}" for number in range(100))
    groups = [[next(names) for _ in range(size)] for size in sizes]
    splits = split_by_digest(of_class(0, [name for group in groups for name in group]), 0.2, groups)
    assert [len(group) for group in groups if splits[group[0]] == "val"] == taken


def test_groups_that_share_an_image_are_one() -> None:
    labelled = of_class(0, list("abcdef")) + of_class(1, list("ghij"))
    splits = split_by_digest(labelled, 0.2, [["a", "b"], ["b", "c"], ["g", "c"]])
    assert len({splits[digest] for digest in "abcg"}) == 1


def test_a_group_of_several_classes_leaves_each_of_them_images_to_train_on() -> None:
    """{a, g, h} would be the share of class 0, but is all of class 1."""
    labelled = of_class(0, list("abcdef")) + of_class(1, list("gh"))
    together = [["a", "g", "h"]]
    assert split_by_digest(labelled, 0.2, together) == {**dict.fromkeys("acdefgh", "train"), "b": "val"}


def test_a_class_whose_groups_are_all_in_an_earlier_class_has_images_to_validate() -> None:
    """1 of 8 images of class 0 validates, a; both groups of class 1 come later in class 0."""
    labelled = of_class(0, list("abcdefgh")) + of_class(1, list("xyz"))
    splits = split_by_digest(labelled, 0.1, [["g", "x"], ["h", "y", "z"]])
    assert {digest for digest, split in splits.items() if split == "val"} == {"a", "g", "x"}


@pytest.mark.parametrize("added", range(20))
def test_an_image_added_to_a_group_moves_few_others(added: int) -> None:
    """At most two groups of 40 change their split: one in place of another."""
    groups = [digests(5, seed=number) for number in range(40)]
    before = split(groups)
    groups[added].append(digests(1, seed=1000 + added)[0])
    after = split(groups)
    moved = {digest for digest, side in before.items() if after[digest] != side}
    assert sum(bool(moved & set(group)) for group in groups) <= 2


def split(groups: Sequence[Sequence[str]]) -> dict[str, SplitName]:
    return split_by_digest([(0, digest) for group in groups for digest in group], 0.2, groups)


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
