"""Images drawn and folds: groups whole, classes spread, every class in every training set, in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.errors import DataError
from finetune.training.probe_folds import ALWAYS_TRAINED, FEWEST_OF_A_CLASS, draw, make_folds

SETS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=4, max_size=60)  # (class, group)


def keys_of(count: int) -> list[str]:
    return [f"{number * 37 % 101:03d}{number:04d}" for number in range(count)]


def test_classes_are_spread_evenly_over_the_folds() -> None:
    labels = np.repeat([0, 1, 2], [50, 23, 7])
    folds = make_folds(labels, np.arange(80), keys_of(80))
    counts = np.array([np.bincount(labels[folds == fold], minlength=3) for fold in range(5)])
    assert counts.sum() == 80
    assert (counts.max(axis=0) - counts.min(axis=0)).max() <= 1
    assert counts.sum(axis=1).max() - counts.sum(axis=1).min() <= 2


def test_there_are_as_many_folds_as_the_smallest_class_has_groups() -> None:
    labels = np.repeat([0, 1], [20, 6])
    groups = np.concatenate([np.arange(20), 20 + np.arange(6) // 2])  # class 1: three groups of two
    assert set(make_folds(labels, groups, keys_of(26))) == {0, 1, 2}


def test_a_class_with_one_group_is_always_trained_on() -> None:
    labels = np.repeat([0, 1, 2], [9, 2, 1])
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10])
    folds = make_folds(labels, groups, keys_of(12))
    assert folds[9:].tolist() == [ALWAYS_TRAINED] * 3
    assert set(folds[:9]) == {0, 1, 2, 3, 4}


def test_images_without_a_second_group_are_reported() -> None:
    with pytest.raises(DataError, match=r"expected a class with two images .* none of 2 classes has; add images"):
        make_folds(np.array([0, 0, 1]), np.array([4, 4, 7]), keys_of(3))


@settings(max_examples=300, deadline=None)
@given(SETS)
def test_no_group_is_in_two_folds_and_no_class_misses_in_training(images: list[tuple[int, int]]) -> None:
    _, labels = np.unique([label for label, _ in images], return_inverse=True)
    groups = np.array([group for _, group in images])
    try:
        folds = make_folds(labels, groups, keys_of(len(images)))
    except DataError:
        return
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1
    for fold in set(folds) - {ALWAYS_TRAINED}:
        assert set(labels[folds != fold]) == set(labels)
    assert folds.max() < 5


@settings(max_examples=100, deadline=None)
@given(SETS, st.randoms(use_true_random=False))
def test_order_of_images_and_numbers_of_groups_do_not_matter(images: list[tuple[int, int]], random: object) -> None:
    _, labels = np.unique([label for label, _ in images], return_inverse=True)
    groups, keys = np.array([group for _, group in images]), np.array(keys_of(len(images)))
    order = list(range(len(images)))
    random.shuffle(order)  # type: ignore[attr-defined]
    try:
        folds = make_folds(labels, groups, keys.tolist())
    except DataError:
        return
    assert make_folds(labels[order], 100 - groups[order], keys[order].tolist()).tolist() == folds[order].tolist()


def test_all_images_are_drawn_where_they_are_few() -> None:
    assert draw(np.array([0, 1, 0]), ["c", "a", "b"], most=3).tolist() == [1, 2, 0]


def test_each_class_keeps_its_share_but_small_ones_all() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 4])
    drawn = draw(labels, keys_of(904), most=90)
    assert np.bincount(labels[drawn]).tolist() == [60, 30, 4]
    assert FEWEST_OF_A_CLASS >= 4


def test_the_same_images_are_drawn_in_any_order() -> None:
    labels, keys = np.arange(200) % 2, np.array(keys_of(200))
    order = np.random.default_rng(0).permutation(200)
    first = keys[draw(labels, keys.tolist(), most=40)]
    assert keys[order][draw(labels[order], keys[order].tolist(), most=40)].tolist() == first.tolist()
    assert first.tolist() == sorted(first)
    assert set(first[labels[draw(labels, keys.tolist(), 40)] == 0]) == set(sorted(keys[labels == 0])[:20])
