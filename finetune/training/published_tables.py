"""The published results that `finetune reproduce` repeats: what was measured how, and where the images come from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.data.dataset import Dataset, LabelledFile
from finetune.data.published_sets import caltech101_files, flowers102_files
from finetune.errors import DataError

Numbers = NDArray[np.int64]  # of images

TRAINED, HELD_OUT, SPLITS = 30, 5, 10  # Caltech-101: images of a class to train on, of which 5 choose the strength


class ProbeSplit(NamedTuple):
    """Which images a classifier is fitted and measured on.

    The strength of its penalty is the best on `held_out` after a fit on `inner`; the classifier is then fitted on
    `fitted` and measured on `test`.
    """

    inner: Numbers
    held_out: Numbers
    fitted: Numbers
    test: Numbers


@dataclass(frozen=True)
class PublishedTable:
    """A published result, and how it is repeated: a linear classifier on the output of a layer.

    `measure`: which accuracy was published, "mean per class" or "of all images". `published`: in per cent, `by`: what
    reached it, and where that is published. `classes`: how many there are. `address` and `folder`: of the images, for
    people.
    """

    name: str
    title: str
    layer: str
    measure: str
    published: float
    by: str
    classes: int
    address: str
    folder: str
    files: Callable[[Path], list[LabelledFile]]
    splits: Callable[[Dataset], Iterator[ProbeSplit]]


def caltech101_splits(dataset: Dataset) -> Iterator[ProbeSplit]:
    """Yield ten random splits: 30 images of each class to train on, all others to test.

    The strength is chosen by a fit on 25 of the 30 and the other 5. Raises DataError for a class with fewer than 31
    images.
    """
    labels = np.array([record.label for record in dataset.records])
    for number in range(SPLITS):
        generator = np.random.default_rng(number)
        orders = []
        for label, name in enumerate(dataset.class_names):
            orders.append(generator.permutation(np.flatnonzero(labels == label)))
            if len(orders[-1]) <= TRAINED:
                raise DataError(
                    f"expected {TRAINED + 1} readable images or more of each class, but {name} has {len(orders[-1])}; "
                    "unpack the images again"
                )
        inner, fitted = (np.concatenate([order[:count] for order in orders]) for count in (TRAINED - HELD_OUT, TRAINED))
        held_out = np.concatenate([order[TRAINED - HELD_OUT : TRAINED] for order in orders])
        yield ProbeSplit(inner, held_out, fitted, np.concatenate([order[TRAINED:] for order in orders]))


def official_split(dataset: Dataset) -> Iterator[ProbeSplit]:
    """Yield the one split that the images come with: validation images choose the strength and train nothing."""
    splits = np.array([record.split for record in dataset.records])
    train, val, test = (np.flatnonzero(splits == split) for split in ("train", "val", "test"))
    yield ProbeSplit(train, val, train, test)


TABLES = {
    table.name: table
    for table in (
        PublishedTable(
            name="caltech101",
            title="Caltech-101, 30 training images of each class, 10 random splits",
            layer="fc6",
            measure="mean per class",
            published=86.9,
            by="SVM with dropout on DeCAF6 (Donahue et al. 2014)",
            classes=102,  # with BACKGROUND_Google; whether the paper counts it was not checked
            address="https://data.caltech.edu/records/mzrjq-6wc02",
            folder="101_ObjectCategories, which has a folder for each class",
            files=caltech101_files,
            splits=caltech101_splits,
        ),
        PublishedTable(
            name="flowers102",
            title="Oxford flowers 102, official split",
            layer="fc6",
            measure="of all images",
            published=81.4,
            by="CaffeNet, fine-tuned (github.com/junyuseu/fine-tuning)",
            classes=102,
            address="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
            folder="a folder with jpg/, imagelabels.mat and setid.mat",
            files=flowers102_files,
            splits=official_split,
        ),
    )
}
