"""The layer and the strength of a probe: held-out images choose them, groups and copies stay whole."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.probes import both_views, by_scikit_learn

from finetune.check.copies_together import keep_copies_together
from finetune.config import TrainConfig
from finetune.data.dataset import Dataset, Record
from finetune.data.folder import read_folder
from finetune.data.read_data import read_data
from finetune.errors import DataError, FinetuneError, UsageError
from finetune.metrics import log_loss
from finetune.model import Model, save_model
from finetune.training import choose_probe as choose_probe_module
from finetune.training.choose_probe import _drawn, _group_numbers, choose_probe
from finetune.training.make_plan import make_plan
from finetune.training.plan import Plan, Probe
from finetune.training.probe_folds import make_folds

Labels = np.ndarray


@pytest.fixture
def folds(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """Digest -> fold of each call."""
    calls: list[dict[str, int]] = []

    def kept(labels: Labels, groups: Labels, digests: list[str]) -> np.ndarray:
        found = make_folds(labels, groups, digests)
        calls.append(dict(zip(digests, found.tolist(), strict=True)))
        return found

    monkeypatch.setattr(choose_probe_module, "make_folds", kept)
    return calls


def chosen(data: Path, weights: Path, probe: str = "auto", **options: object) -> tuple[Plan, Dataset, Probe]:
    """Choose as a training does."""
    config = TrainConfig(data=data, weights=str(weights), probe=probe, **options)  # type: ignore[arg-type]
    dataset = keep_copies_together(read_data(data, group_by=config.group_by)).all_to_train()
    plan, dataset = choose_probe(make_plan(config, dataset), dataset)
    assert plan.probe
    return plan, dataset, plan.probe


@pytest.mark.tensorflow
def test_every_image_is_held_out_once_and_by_a_fit_without_it(
    image_folder: Callable[..., Path], tiny_weights: Path, tiny_model: Model, folds: list[dict[str, int]]
) -> None:
    """Layers, strengths, log losses and logits are those that scikit-learn finds on the classifier's features."""
    plan, dataset, probe = chosen(image_folder(stripes=12, dots=12, waves=12), tiny_weights)
    assert Counter(probe.records) == Counter(dataset.records)
    assert [layer.layer for layer in probe.layers] == ["pool5", "fc6", "fc7"]
    fold = np.array([folds[0][record.digest] for record in probe.records])
    assert sorted(set(fold)) == [0, 1, 2, 3, 4]
    labels = np.array([record.label for record in probe.records])
    paths = [record.path for record in probe.records]
    for tried in probe.layers:
        rows = both_views(paths, tiny_model, tried.layer)
        probabilities = np.empty((36, 3))
        for number in range(5):
            train = np.repeat(fold != number, 2)
            # The scale of the penalty is that of all rows, so scikit-learn's C is made of these
            model = by_scikit_learn(
                rows[train], labels[fold != number], tried.strength * np.var(rows, axis=0).sum()
                / np.var(rows[train], axis=0).sum(),
            )  # fmt: skip
            probabilities[fold == number] = model.predict_proba(rows[0::2][fold == number])
        losses = -np.log(probabilities[np.arange(36), labels])
        assert tried.log_loss == pytest.approx(losses.mean(), rel=0.01), tried.layer
        assert tried.accuracy == pytest.approx((probabilities.argmax(axis=1) == labels).mean(), abs=1e-9)
        share = tried.accuracy
        assert tried.standard_error == pytest.approx(np.sqrt(share * (1 - share) / 36), rel=0.05)
        if tried.chosen:
            powers = np.exp(probe.logits)
            np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), probabilities, atol=0.01)
    assert [tried.chosen for tried in probe.layers].count(True) == 1
    assert probe.chosen.log_loss == min(tried.log_loss for tried in probe.layers)
    assert log_loss(probe.logits, labels) == pytest.approx(probe.chosen.log_loss, rel=1e-9)
    assert plan.config.probe == probe.chosen.layer
    assert plan.network.options["cut_after"] == probe.chosen.layer
    assert plan.network.weight_shapes()["fc8/kernel"][1] == 3


@pytest.mark.tensorflow
def test_a_layer_that_is_named_is_the_only_one(image_folder: Callable[..., Path], tiny_weights: Path) -> None:
    """conv5 is tried too if it is named, and a named layer finds what auto finds of it."""
    data = image_folder(stripes=6, dots=6)
    plan, _, probe = chosen(data, tiny_weights, "conv5")
    assert [(tried.layer, tried.chosen) for tried in probe.layers] == [("conv5", True)]
    assert plan.network.layers[-2].name == "conv5"
    _, _, alone = chosen(data, tiny_weights, "fc6", cache=False)
    _, _, every = chosen(data, tiny_weights)
    assert alone.chosen.log_loss == pytest.approx(every.layers[1].log_loss, rel=1e-3)
    assert alone.chosen.strength == every.layers[1].strength


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("fc8", r"^alexnet cannot be cut after 'fc8'.*; expected one of conv1, "),
        ("fc66", r"^alexnet cannot be cut after 'fc66' \(did you mean fc6\?\); expected one of conv1, "),
    ],
)
def test_layers_that_cannot_be_read_are_refused_before_anything_is_computed(
    image_folder: Callable[..., Path], tiny_weights: Path, layer: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        chosen(image_folder(stripes=3, dots=3), tiny_weights, layer)


@pytest.mark.tensorflow
def test_groups_and_near_copies_are_never_in_two_folds(
    image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path, folds: list[dict[str, int]]
) -> None:
    """Groups of three in the column of a CSV; a copy in another format joins two groups into one."""
    data = image_folder(stripes=24, dots=24)
    for name in ("stripes", "dots"):
        cv2.imwrite(str(data / name / "copy.bmp"), cv2.imread(str(data / name / "0.png")))
    rows = [f"{path},{path.parent.name},{path.parent.name}{int(path.stem) // 3}" for path in data.rglob("*.png")]
    rows += [f"{path},{path.parent.name},{path.parent.name}7" for path in data.rglob("*.bmp")]
    listed = tmp_path / "list.csv"
    listed.write_text("path,label,group\n" + "".join(f"{row}\n" for row in rows))
    _, dataset, probe = chosen(listed, tiny_weights, "fc7")
    assert len(dataset.copies) >= 2, "the planted copies are found"
    (fold,) = folds
    assert len(fold) == 50
    for group, same in dataset.by_group().items():
        assert len({fold[record.digest] for record in same}) == 1, group
    for same in dataset.by_copy():
        assert len({fold[record.digest] for record in same}) == 1
    for name in ("stripes", "dots"):
        of = {record.path.name: fold[record.digest] for record in dataset.records if record.path.parent.name == name}
        assert len({of[file] for file in ("0.png", "1.png", "2.png", "copy.bmp", "21.png", "23.png")}) == 1
    assert len(probe.records) == 50


def record(number: int, label: int = 0, split: str = "train", group: str = "", path: str = "") -> Record:
    return Record(Path(path or f"{number}.png"), label, split, f"{number:064x}", group)  # type: ignore[arg-type]


def test_names_and_copies_make_groups_together() -> None:
    """0 and 1 share a name, 1 and 2 are copies, 3 and 4 are; an image for validation joins 5 and 6."""
    records = [record(0, group="a"), record(1, group="a"), record(2), record(3), record(4), record(5, group="b")]
    records += [record(6), record(7), record(8, split="val", group="b")]
    copies = tuple(tuple(f"{number:064x}" for number in pair) for pair in ((1, 2), (3, 4), (8, 6)))
    dataset = Dataset(tuple(records), ("one",), copies=copies)
    numbers = _group_numbers(dataset, records[:8]).tolist()
    assert [numbers.index(number) for number in numbers] == [0, 0, 0, 3, 3, 5, 5, 7]


def test_only_training_images_are_tried_and_each_content_once() -> None:
    """In order of their digests, whatever the order of the files."""
    records = [record(5), record(2, 1), record(5, path="again.png"), record(9, 1, "val"), record(0, 1)]
    for order in (records, records[::-1]):
        found = _drawn(Dataset(tuple(order), ("one", "two")))
        assert [(int(one.digest, 16), one.label) for one in found] == [(0, 1), (2, 1), (5, 0)]


def test_a_class_with_no_image_of_its_own_is_an_error() -> None:
    """The first class that a content is in counts, in any order, so nothing is left of the second."""
    records = (record(5), record(5, 1, path="again.png"), record(2, 0))
    for order in (records, records[::-1]):
        with pytest.raises(DataError) as error:
            _drawn(Dataset(order, ("one", "two")))
    assert str(error.value) == (
        "expected an image of class 'two' that no other class has, but all are identical to images of others; remove "
        "those of the wrong class (finetune check lists them)"
    )


@pytest.mark.tensorflow
def test_unreadable_images_are_in_no_fold(
    image_folder: Callable[..., Path],
    tiny_weights: Path,
    break_png: Callable[[Path], None],
    folds: list[dict[str, int]],
) -> None:
    data = image_folder(stripes=8, dots=8)
    clean, whole, _ = chosen(data, tiny_weights)
    assert whole.skipped == ()
    break_png(data / "dots" / "broken.png")
    plan, dataset, probe = chosen(data, tiny_weights)
    assert [skipped.path.name for skipped in dataset.skipped] == ["broken.png"]
    assert dataset.records == whole.records
    assert folds[0] == folds[1]
    assert clean.probe
    np.testing.assert_array_equal(probe.logits, clean.probe.logits)
    assert plan.config.probe == clean.config.probe
    for path in data.glob("dots/*.png"):
        break_png(path)
        path.write_bytes(path.read_bytes() + path.name.encode())  # each with bytes of its own
    with pytest.raises(DataError, match=r"^no readable image to train on for class 'dots'; "):
        chosen(data, tiny_weights)


@pytest.mark.tensorflow
def test_a_single_image_of_a_class_is_never_held_out(image_folder: Callable[..., Path], tiny_weights: Path) -> None:
    """It judges nothing, but its class is known to every fit."""
    _, dataset, probe = chosen(image_folder(stripes=6, dots=6, waves=1), tiny_weights, "fc6")
    assert Counter(record.label for record in dataset.records) == {0: 6, 1: 6, 2: 1}
    assert Counter(record.label for record in probe.records) == {0: 6, 1: 6}
    assert probe.logits.shape == (12, 3)
    assert np.isfinite(probe.logits).all()


@pytest.mark.tensorflow
def test_two_images_of_a_class_are_needed(image_folder: Callable[..., Path], tiny_weights: Path) -> None:
    dataset = read_folder(image_folder(stripes=2, dots=2)).all_to_train()
    single = replace(dataset, records=dataset.records[1:3])
    config = TrainConfig(data=Path("images"), weights=str(tiny_weights), probe="fc7")
    with pytest.raises(DataError, match=r"^expected a class with two images .* add images$"):
        choose_probe(make_plan(config, single), single)


@pytest.mark.tensorflow
def test_features_that_overflow(image_folder: Callable[..., Path], tiny_model: Model, tmp_path: Path) -> None:
    kernel = np.full_like(tiny_model.weights["fc7/kernel"], 3e38)
    damaged = tmp_path / "damaged.safetensors"
    save_model(damaged, replace(tiny_model, weights={**tiny_model.weights, "fc7/kernel": kernel}))
    with pytest.raises(FinetuneError, match=r"^expected finite features, but some are not a number"):
        chosen(image_folder(stripes=4, dots=4), damaged, "fc7")
