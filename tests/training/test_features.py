"""Features: the trunk's output for every readable image, each computed once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.features import compute, views
from support.plans import plan_of

from finetune.data.augment import LEVELS, Augmentation, Lighting, augmented_input, view_generator
from finetune.data.folder import read_folder
from finetune.data.images import read_image
from finetune.data.network_input import to_input
from finetune.errors import RunError
from finetune.model import Model
from finetune.networks.compiled import BATCH_SIZE
from finetune.networks.forward import activations
from finetune.training import features
from finetune.training.features import Trunk, View
from finetune.training.plan import SourceWeights
from finetune.training.store import cache_folder


def test_rows_are_the_trunk_s_output_in_order(
    tiny_model: Model, image_folder: Callable[..., Path], break_png: Callable[[Path], None]
) -> None:
    network = tiny_model.network
    folder = image_folder(stripes=BATCH_SIZE, dots=5)  # more than one batch, and a short one
    broken = folder / "dots" / "2.png"
    break_png(broken)
    dataset = read_folder(folder)
    rows, unreadable = compute(plan_of(tiny_model, ("fc7",)), dataset)
    assert unreadable == {broken: "the PNG data is damaged or cut short"}
    readable = [record for record in dataset.records if record.path != broken]
    assert rows.shape == (BATCH_SIZE + 4, 8)
    for row, record in zip(rows, readable, strict=True):
        pixels = network.preprocessing.normalize(to_input(read_image(record.path), network.preprocessing))
        outputs = dict(activations(network.layers, tiny_model.weights, pixels[None]))
        expected = np.asarray(outputs["fc6"])[0]
        np.testing.assert_allclose(row, expected, atol=1e-3 * float(np.abs(expected).max()))  # float16 on disk


def test_without_a_trunk_the_rows_are_pixels(tiny_model: Model, image_folder: Callable[..., Path]) -> None:
    dataset = read_folder(image_folder(stripes=2, dots=2))
    preprocessing = tiny_model.network.preprocessing
    rows, _ = compute(plan_of(tiny_model, tuple(tiny_model.network.weighted_layers())), dataset)
    assert rows.dtype == np.uint8
    np.testing.assert_array_equal(rows[0], to_input(read_image(dataset.records[0].path), preprocessing))
    assert not cache_folder().exists(), "pixels are not worth the cache"


def test_views_are_crops_and_flips_of_the_same_picture(tiny_model: Model, image_folder: Callable[..., Path]) -> None:
    """View 0 is the image as in use; the others are windows of the resized image, both ways round."""
    record = read_folder(image_folder(stripes=3, dots=3)).records[0]
    preprocessing = replace(tiny_model.network.preprocessing, resize_to=72)  # the image's own height: 72 × 80
    image = read_image(record.path)
    windows = {
        part[:, ::step].tobytes(): (top, left, step)
        for top in range(6)
        for left in range(14)
        for part in [image[top : top + 67, left : left + 67]]
        for step in (1, -1)
    }
    drawn = [
        windows[augmented_input(image, preprocessing, view_generator(record.digest, v), LEVELS["light"]).tobytes()]
        for v in range(40)
    ]
    assert drawn[0] == (2, 6, 1)
    assert {step for _, _, step in drawn} == {1, -1}
    assert len({(top, left) for top, left, _ in drawn}) > 15


def test_views_of_every_augmentation_have_places_of_their_own(
    tiny_model: Model, image_folder: Callable[..., Path]
) -> None:
    """All in one store: the rows are each augmentation's own, in the order of the records; view 0 serves them all."""
    records = read_folder(image_folder(stripes=3, dots=3)).records
    plan = plan_of(tiny_model, tuple(tiny_model.network.weighted_layers()))  # no trunk: the rows are pixels
    strong = replace(LEVELS["strong"], components=Lighting.of((60, 20, 5), np.eye(3)))
    keys = set()
    with Trunk(plan).open_store() as store:
        for augmentation in (LEVELS["light"], strong, replace(strong, color_jitter=0.3), LEVELS["none"]):
            trunk = Trunk(replace(plan, augmentation=augmentation))
            assert trunk.compute(dict.fromkeys(records, views(3)), store) == {}
            wanted = [(record, view) for record in records for view in views(3)]
            rows = store.rows([trunk.key(record.digest, view) for record, view in wanted])
            for row, (record, view) in zip(rows[np.arange(18)], wanted, strict=True):
                generator = view_generator(record.digest, view.number)
                preprocessing = tiny_model.network.preprocessing
                expected = augmented_input(read_image(record.path), preprocessing, generator, augmentation)
                np.testing.assert_array_equal(row, expected)
            keys |= {trunk.key(record.digest, view) for record, view in wanted}
    assert len(keys) == 6 * (1 + 3 * 2), "view 0 once, and two views of three augmentations"


@pytest.mark.parametrize("how", ["deleted", "changed"])
def test_an_image_that_has_changed_is_refused(how: str, tiny_model: Model, image_folder: Callable[..., Path]) -> None:
    folder = image_folder(stripes=3, dots=3)
    dataset = read_folder(folder)
    path = folder / "dots" / "1.png"
    if how == "deleted":
        path.unlink()
        said = "cannot be opened \\(No such file or directory\\)"
    else:
        path.write_bytes((folder / "dots" / "0.png").read_bytes())
        said = "has changed"
    with pytest.raises(RunError, match=f"1.png {said} since training started; restore it and resume with --re"):
        compute(plan_of(tiny_model, ("fc7",)), dataset)


def test_an_augmentation_that_changes_nothing_is_computed_once(
    tiny_model: Model, image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = read_folder(image_folder(stripes=2, dots=2)).records
    calls: list[int | None] = []
    generators = lambda digest, view: (calls.append(view), view_generator(digest, view))[1]  # noqa: E731
    monkeypatch.setattr(features, "view_generator", generators)
    trunk = Trunk(plan_of(tiny_model, ("fc8",), augmentation=Augmentation()))
    with trunk.open_store() as store:
        trunk.compute(dict.fromkeys(records, views(5)), store)
    assert len(calls) == 4


def test_each_precision_has_rows_of_its_own(
    tiny_model: Model, image_folder: Callable[..., Path], decoded: list[Path]
) -> None:
    """Those of float32 are the same to the bit, whether bfloat16 is computed in the same pass or not."""
    records = read_folder(image_folder(stripes=20, dots=5)).records
    plan = plan_of(tiny_model, ("fc8",))
    both = (View(0, "bfloat16"), View(0, "float32"))
    found: list[np.ndarray] = []
    for wanted in (both, both[1:]):
        trunk = Trunk(replace(plan, source=SourceWeights("tiny", str(len(wanted)) * 64)))  # a store for each
        with trunk.open_store() as store:
            trunk.compute(dict.fromkeys(records, wanted), store)
            assert len(trunk._functions) == 1, "each holds a copy of the weights"
            found += [store.rows([trunk.key(r.digest, view) for r in records])[np.arange(25)] for view in wanted]
    fast, exact, alone = found
    np.testing.assert_array_equal(exact, alone)
    assert not np.array_equal(fast, exact)
    assert len(decoded) == 3 * 25
    with trunk.open_store() as store:
        trunk.compute(dict.fromkeys(records, both[1:]), store)
    assert len(decoded) == 3 * 25, "all are in the cache"


def test_validation_images_have_batches_of_their_own(tiny_model: Model, image_folder: Callable[..., Path]) -> None:
    """So they change no bit of what is trained, on any processor: the batches of training images stay the same."""
    dataset = read_folder(image_folder(stripes=50, dots=50))
    trunk = Trunk(plan_of(tiny_model, ("fc8",)))
    training = [record for record in dataset.records if record.split == "train"]
    with trunk.open_store() as store:
        every = trunk.missing(dict.fromkeys(dataset.records, views(1)), store)
        alone = trunk.missing(dict.fromkeys(training, views(1)), store)
    assert 0 < len(training) < 100
    assert sum(len(batch.rows) for batch in every) == 100
    assert [batch for batch in every if batch.rows[0].record.split == "train"] == alone


def test_pixels_have_no_precision(tiny_model: Model) -> None:
    """Without frozen layers nothing is computed, so that validation and training share view 0."""
    trunk = Trunk(plan_of(tiny_model, tuple(tiny_model.network.weighted_layers())))
    assert trunk.key("ab", View(0, "bfloat16")) == trunk.key("ab", View(0, "float32"))
