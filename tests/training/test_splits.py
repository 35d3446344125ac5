"""What the loop gets of each split: which views, in which precision, with which labels and weights."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.plans import plan_of, settled

from finetune.data.augment import LEVELS, augmented_input, view_generator
from finetune.data.dataset import Dataset
from finetune.data.folder import read_folder
from finetune.data.images import read_image
from finetune.errors import DataError
from finetune.model import Model
from finetune.training.features import Trunk, View
from finetune.training.plan import Plan
from finetune.training.splits import Splits, views_of


def plan_on_pixels(model: Model, **options: Any) -> Plan:
    """A plan that trains every layer, so that rows are pixels and can be compared with images."""
    every = tuple(model.network.weighted_layers())
    return plan_of(model, every, config=settled(every, **options))


def pixels(plan: Plan, dataset: Dataset, split: str, view: int) -> list[np.ndarray]:
    """The network's input for one view of every image of a split."""
    preprocessing = plan.network.preprocessing
    return [
        augmented_input(read_image(record.path), preprocessing, view_generator(record.digest, view), LEVELS["light"])
        for record in dataset.records
        if record.split == split
    ]


@pytest.fixture
def dataset(image_folder: Callable[..., Path]) -> Dataset:
    return read_folder(image_folder(stripes=6, dots=3), 0.4)


def test_training_follows_the_plan_and_validation_is_exact(tiny_model: Model) -> None:
    plan = plan_of(tiny_model, ("fc8",), config=settled(views=3), precision="bfloat16")
    assert views_of(plan, "train") == tuple(View(number, "bfloat16") for number in range(3))
    assert views_of(plan, "val") == (View(0, "float32"),)
    fresh = plan_of(tiny_model, ("fc8",), config=settled(views=0))
    assert views_of(fresh, "train") == (View(0, "float32"),), "to find out which images can be read"


def test_stored_views(tiny_model: Model, dataset: Dataset) -> None:
    """Two rows for each training image, the image itself first; one for each validation image."""
    plan, trunk = plan_on_pixels(tiny_model, views=2), None
    with ExitStack() as open_files:
        trunk = Trunk(plan)
        store = open_files.enter_context(trunk.open_store(cache=False))
        splits = Splits(plan, trunk, store, dataset, open_files)
        rows = splits.train(1)
        assert splits.train(2) is rows
        assert (rows.views, len(rows.rows), rows.labels.tolist()) == (2, 12, [0, 0, 1, 1, 1, 1])
        expected = zip(*(pixels(plan, dataset, "train", view) for view in (0, 1)), strict=True)
        np.testing.assert_array_equal(rows.rows[np.arange(12)], [row for pair in expected for row in pair])
        np.testing.assert_array_equal(splits.val.rows[np.arange(3)], pixels(plan, dataset, "val", 0))
        assert (splits.val.views, splits.val.labels.tolist(), splits.val.weights) == (1, [0, 1, 1], None)
        assert [path.parent.name for path in splits.val.paths] == ["dots", "stripes", "stripes"]


def test_fresh_views_in_every_epoch(tiny_model: Model, dataset: Dataset) -> None:
    """With --views 0 epoch 3 has view 4, and with seed 2 view 4 + 2 · 65536: no two runs share them."""
    for seed, first in ((0, 0), (2, 2 * 65536)):
        plan = plan_on_pixels(tiny_model, views=0, seed=seed)
        with ExitStack() as open_files:
            trunk = Trunk(plan)
            store = open_files.enter_context(trunk.open_store(cache=False))
            splits = Splits(plan, trunk, store, dataset, open_files)
            for epoch in (1, 3):
                rows = splits.train(epoch)
                assert rows.views == 1
                expected = pixels(plan, dataset, "train", first + 1 + epoch)
                np.testing.assert_array_equal(rows.rows[np.arange(6)], expected)


def test_balanced_weights_by_hand(tiny_model: Model, dataset: Dataset) -> None:
    """Two dots and four stripes to train on: 6 / (2 · 2) and 6 / (2 · 4)."""
    plan = plan_on_pixels(tiny_model, class_weights="balanced")
    with ExitStack() as open_files:
        trunk = Trunk(plan)
        store = open_files.enter_context(trunk.open_store(cache=False))
        weights = Splits(plan, trunk, store, dataset, open_files).train(1).weights
    np.testing.assert_allclose(weights, [1.5, 1.5, 0.75, 0.75, 0.75, 0.75])


def test_unreadable_images_are_skipped(
    tiny_model: Model, image_folder: Callable[..., Path], break_png: Callable[[Path], None]
) -> None:
    folder = image_folder("more", stripes=3, dots=3)
    dataset = read_folder(folder, 0.4)
    broken = next(record.path for record in dataset.records if record.split == "train")
    break_png(broken)
    dataset = read_folder(folder, 0.4)
    plan = plan_on_pixels(tiny_model)
    with ExitStack() as open_files:
        trunk = Trunk(plan)
        store = open_files.enter_context(trunk.open_store(cache=False))
        splits = Splits(plan, trunk, store, dataset, open_files)
        assert broken not in splits.train(1).paths
        assert [path for path, _ in splits.dataset.skipped] == [broken]
        for path in (folder / "dots").iterdir():
            break_png(path)
        with pytest.raises(DataError, match="no readable image to train on for class 'dots'"):
            Splits(plan, trunk, store, read_folder(folder, 0.4), open_files)
