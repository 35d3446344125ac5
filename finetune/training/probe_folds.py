"""Which images a probe is tried on: a few thousand drawn per class, and the folds of cross-validation."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.errors import DataError

FOLDS = 5  # Hastie, Tibshirani and Friedman 2009, "The Elements of Statistical Learning", section 7.10.1: 5 or 10
MOST_IMAGES = 1000  # to choose layer and strength with; see the times in benchmarks/probe_times.py
FEWEST_OF_A_CLASS = 5  # drawn of each class, or all it has: one per fold
ALWAYS_TRAINED = -1  # in place of a fold: the image is never held out

Labels = NDArray[np.int64]  # (images,): the class of every image, from 0 on
Groups = NDArray[np.int64]  # (images,): images with the same number are in one fold
FoldNumbers = NDArray[np.int64]  # (images,): from 0 on, or ALWAYS_TRAINED


def draw(labels: Labels, keys: Sequence[str], most: int = MOST_IMAGES) -> NDArray[np.int64]:
    """Return the numbers of about `most` images, or of all, in order of their keys.

    Every class keeps its share, but at least FEWEST_OF_A_CLASS images, so with many small classes there are more than
    `most`. The first of each class in order of the keys are drawn: with digests of the images as keys, a random
    choice that is the same in any order of the images.
    """
    order = key_order(keys, labels)
    if len(order) <= most:
        return order
    drawn = [_first(order[labels[order] == label], most / len(order)) for label in np.unique(labels)]
    return order[np.isin(order, np.concatenate(drawn))]


def make_folds(labels: Labels, groups: Groups, keys: Sequence[str], folds: int = FOLDS) -> FoldNumbers:
    """Return the fold of every image: groups whole, classes spread evenly, the same for any order of the images.

    There are `folds` folds, or as many as the class with the fewest groups has groups, but at least two. A class with
    one group only is always trained on: that group is in no fold (ALWAYS_TRAINED), and what a probe makes of it is not
    known. So is a group that would be the last of a class in every fold: each class is in every training set.
    Raises DataError when no image is in a fold.

    One group after the other, the largest first, goes to the fold that has the smallest share of its classes, and
    among equal folds to the one with the fewest images. scikit-learn's StratifiedGroupKFold takes the numbers of the
    groups and the order of the images into account, warns of small classes, and can keep a class out of a training set.
    """
    order = key_order(keys, labels, groups)
    counts, group_of = _group_counts(labels[order], groups[order])
    groups_of_class = np.bincount(counts.classes)
    several = groups_of_class[groups_of_class > 1]
    number = max(2, min(folds, int(several.min()) if len(several) else 0))
    fold_of_group = _spread(counts, number)
    if (fold_of_group == ALWAYS_TRAINED).all():
        raise DataError(
            "expected a class with two images that are neither copies nor of one group, to try a probe on one of them, "
            f"but none of {len(groups_of_class)} classes has; add images"
        )
    found = np.empty(len(order), np.int64)
    found[order] = fold_of_group[group_of]
    return found


def key_order(keys: Sequence[str], *then: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of the images in order of their keys; equal keys in order of `then`."""
    return np.lexsort((*reversed(then), np.array(keys, dtype=np.str_)))


def _first(images: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    return images[: max(ceil(share * len(images)), FEWEST_OF_A_CLASS)]


class _GroupCounts(NamedTuple):
    """How many images of which classes are in each group, without zeros: most of a million groups are one image.

    `classes`, `images`: of one group after the other, that of group g from `starts[g]` to `starts[g + 1]`.
    """

    starts: NDArray[np.int64]
    classes: Labels
    images: NDArray[np.int64]


def _group_counts(labels: Labels, groups: Groups) -> tuple[_GroupCounts, NDArray[np.int64]]:
    """Return the images of each class in each group, and the group of each image.

    Groups are counted from 0 in order of their first image, whatever their numbers are.
    """
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    group_of = rank[inverse]
    number_of_classes = int(labels.max()) + 1
    cells, images = np.unique(group_of * number_of_classes + labels, return_counts=True)
    starts = np.searchsorted(cells, np.arange(len(first) + 1) * number_of_classes)
    return _GroupCounts(starts, cells % number_of_classes, images), group_of


def _spread(counts: _GroupCounts, number: int) -> FoldNumbers:
    """Return the fold of every group, ALWAYS_TRAINED where each fold would then have all images of a class."""
    totals = np.bincount(counts.classes, counts.images).astype(np.int64)
    filled = np.zeros((number, len(totals)), np.int64)
    fold_of_group = np.full(len(counts.starts) - 1, ALWAYS_TRAINED)
    for group in np.argsort(-np.add.reduceat(counts.images, counts.starts[:-1]), kind="stable"):
        own = slice(counts.starts[group], counts.starts[group + 1])
        classes = counts.classes[own]
        after = filled[:, classes] + counts.images[own]
        possible = np.flatnonzero((after < totals[classes]).all(axis=1))  # of every class, some images are elsewhere
        if not len(possible):
            continue
        shares = (filled[:, classes] / totals[classes]).sum(axis=1)
        fold = min(possible, key=lambda fold: (shares[fold], filled[fold].sum()))
        fold_of_group[group] = fold
        filled[fold, classes] += counts.images[own]
    return fold_of_group
