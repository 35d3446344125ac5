"""Features: the trunk's output for every readable image, in order."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from finetune.data.decode import read_image, to_input
from finetune.data.folder import read_folder
from finetune.model import Model
from finetune.networks.forward import activations
from finetune.training.features import BATCH_SIZE, compute_features


def test_rows_are_the_trunk_s_output_in_order(
    tiny_model: Model, pictures: Callable[..., Path], break_png: Callable[[Path], None]
) -> None:
    network = tiny_model.network
    folder = pictures(stripes=BATCH_SIZE, dots=5)  # more than one batch, and a short one
    dataset = read_folder(folder)
    broken = folder / "dots" / "2.png"
    break_png(broken)
    trunk, _ = network.split(("fc7",))
    features = compute_features(trunk, tiny_model.weights, network.preprocessing, dataset.records)
    assert features.unreadable == {broken: "the PNG data is damaged or cut short"}
    assert [record.path for record in features.records] == [r.path for r in dataset.records if r.path != broken]
    assert features.rows.shape == (BATCH_SIZE + 4, 8)
    for row, record in zip(features.rows, features.records, strict=True):
        pixels = network.preprocessing.normalize(to_input(read_image(record.path), network.preprocessing))
        outputs = dict(activations(network.layers, tiny_model.weights, pixels[None]))
        np.testing.assert_allclose(row, outputs["fc6"][0], atol=1e-4 * float(np.abs(outputs["fc6"]).max()))


def test_without_a_trunk_the_rows_are_pixels(tiny_model: Model, pictures: Callable[..., Path]) -> None:
    dataset = read_folder(pictures(stripes=2, dots=2))
    preprocessing = tiny_model.network.preprocessing
    features = compute_features((), {}, preprocessing, dataset.records)
    assert features.rows.dtype == np.uint8
    np.testing.assert_array_equal(features.rows[0], to_input(read_image(dataset.records[0].path), preprocessing))
