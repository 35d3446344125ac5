"""Features after several layers at once: those that the classifier computes, whatever was asked for before."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.probes import both_views

from finetune.config import TrainConfig
from finetune.data.dataset import Dataset
from finetune.data.folder import read_folder
from finetune.model import Model
from finetune.training import features as features_module
from finetune.training import probe_features
from finetune.training.features import View
from finetune.training.make_plan import make_plan
from finetune.training.plan import Plan
from finetune.training.probe_features import layer_features, probe_views
from finetune.training.store import Key

LAYERS = ["pool5", "fc6", "fc7"]


@pytest.fixture
def dataset(image_folder: Callable[..., Path]) -> Dataset:
    return read_folder(image_folder(stripes=20, dots=20)).all_to_train()


@pytest.fixture
def plan(dataset: Dataset, tiny_weights: Path) -> Plan:
    return make_plan(TrainConfig(data=Path("images"), weights=str(tiny_weights), probe="auto"), dataset)


def computed(plan: Plan, dataset: Dataset, layers: list[str]) -> dict[str, np.ndarray]:
    """Both views of all images after each layer, (images × views, …)."""
    views = probe_views(plan)
    with layer_features(plan, layers, dict.fromkeys(dataset.records, views)) as found:
        assert found.unreadable == {}
        rows = {layer: found.rows(layer, dataset.records, views) for layer in layers}
        return {layer: every[np.arange(len(every))] for layer, every in rows.items()}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The digests of the images that were decoded, one entry for each time."""
    digests: list[int] = []
    decode = features_module.decode

    def counted(data: bytes, side: int) -> object:
        digests.append(hash(data))
        return decode(data, side)

    monkeypatch.setattr(features_module, "decode", counted)
    return digests


def test_the_views_are_the_image_and_its_mirror_image(plan: Plan) -> None:
    assert probe_views(plan) == (View(0, "float32"), View(1, "float32"))
    assert probe_views(replace(plan, precision="bfloat16")) == (View(0, "bfloat16"), View(1, "bfloat16"))


def test_features_are_those_of_the_classifier(plan: Plan, dataset: Dataset, tiny_model: Model) -> None:
    """The views of an image are next to each other; stores round to float16, 11 bits."""
    found = computed(plan, dataset, LAYERS)
    for layer in LAYERS:
        expected = both_views([record.path for record in dataset.records], tiny_model, layer)
        assert found[layer].reshape(len(expected), -1).shape == expected.shape == (80, 256 if layer == "pool5" else 8)
        np.testing.assert_allclose(found[layer].reshape(len(expected), -1), expected, rtol=2**-10, atol=1e-4)
        assert not np.allclose(expected[0::2], expected[1::2]), "a mirror image has other features"


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_alone_has_the_same_bits(plan: Plan, dataset: Dataset, layer: str) -> None:
    uncached = replace(plan, config=replace(plan.config, cache=False))
    np.testing.assert_array_equal(computed(uncached, dataset, [layer])[layer], computed(plan, dataset, LAYERS)[layer])


def test_every_image_is_decoded_once_for_all_layers_and_runs(plan: Plan, dataset: Dataset, decoded: list[int]) -> None:
    first = computed(plan, dataset, LAYERS)
    assert len(decoded) == len(set(decoded)) == 40
    again = computed(plan, dataset, LAYERS)
    alone = computed(plan, dataset, ["fc6"])
    assert len(decoded) == 40, "what is in the cache is not decoded"
    for layer in LAYERS:
        np.testing.assert_array_equal(first[layer], again[layer])
    np.testing.assert_array_equal(first["fc6"], alone["fc6"])


def test_the_stores_of_a_training_stay_whatever_they_take(
    plan: Plan, dataset: Dataset, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe is fitted on one of the layers that it was chosen from, and the others may be needed again."""
    monkeypatch.setattr("finetune.training.store.remove_unused.__defaults__", (1,))  # bytes
    computed(plan, dataset, LAYERS)
    computed(plan, dataset, LAYERS)
    assert len(decoded) == 40


def test_a_store_that_is_closed_holds_nothing(plan: Plan, dataset: Dataset) -> None:
    """Whatever still refers to it: the keys of a million images are half a gigabyte, and segments are open files."""
    views = probe_views(plan)
    with layer_features(plan, LAYERS, dict.fromkeys(dataset.records, views)) as features:
        stores = list(features._stores.values())
        key = features._trunk.key(dataset.records[0].digest, views[0])
        assert all(key in store for store in stores)
    assert not any(key in store or store._segments for store in stores)


def test_layers_that_are_not_stored_yet_join_one_that_is(plan: Plan, dataset: Dataset, decoded: list[int]) -> None:
    """Ten images are stored after fc6: those rows are kept as they are, and all others are added."""
    some = replace(dataset, records=dataset.records[::4])
    alone = computed(plan, some, ["fc6"])
    together = computed(plan, dataset, LAYERS)
    assert len(decoded) == 10 + 40
    np.testing.assert_array_equal(alone["fc6"], together["fc6"].reshape(40, 2, -1)[::4].reshape(20, -1))
    with layer_features(plan, LAYERS, dict.fromkeys(dataset.records, probe_views(plan))) as found:
        stored = {layer: sum(len(segment) for segment in found._stores[layer]._segments) for layer in LAYERS}
    assert stored == dict.fromkeys(LAYERS, 80), "no row is stored twice"


def test_without_the_cache_nothing_is_left(plan: Plan, dataset: Dataset, decoded: list[int]) -> None:
    uncached = replace(plan, config=replace(plan.config, cache=False))
    for _ in range(2):
        computed(uncached, dataset, ["fc7"])
    assert len(decoded) == 80
    with layer_features(uncached, LAYERS, dict.fromkeys(dataset.records, probe_views(plan))) as found:
        folders = [store.folder for store in found._stores.values()]
        assert all(any(folder.iterdir()) for folder in folders)
    assert not any(folder.exists() for folder in folders)


def test_unreadable_images_are_named_and_the_others_computed(
    plan: Plan, dataset: Dataset, break_png: Callable[[Path], None], tiny_model: Model
) -> None:
    """The first of 40 images is broken: the rows of the others are still their own."""
    broken = dataset.records[0].path
    break_png(broken)
    read = read_folder(broken.parents[1]).all_to_train()
    views = probe_views(plan)
    with layer_features(plan, LAYERS, dict.fromkeys(read.records, views)) as found:
        assert list(found.unreadable) == [broken]
        good = [record for record in read.records if record.path != broken]
        rows = found.rows("fc6", good, views)[np.arange(78)]
    expected = both_views([record.path for record in good], tiny_model, "fc6")
    np.testing.assert_allclose(rows, expected, rtol=2**-10, atol=1e-4)


def test_no_row_of_a_short_batch_is_a_filler(plan: Plan, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """80 rows are two batches of 32 and one of 16: the 16 rows of zeros that fill it are not stored."""
    added: list[object] = []
    keep = probe_features.FeatureStore.keep

    def counted(self: probe_features.FeatureStore, keys: list[Key], rows: np.ndarray) -> None:
        assert len(keys) == len(rows)
        added.extend((self.folder, key) for key in keys)
        keep(self, keys, rows)

    monkeypatch.setattr(probe_features.FeatureStore, "keep", counted)
    computed(plan, dataset, LAYERS)
    assert len(added) == len(set(added)) == 3 * 80
