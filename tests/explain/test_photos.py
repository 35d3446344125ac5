"""The starter on a photo of a poodle: its map is on the dog, and with random weights it is everywhere.

The second is the sanity check of Adebayo et al. 2018, "Sanity Checks for Saliency Maps": a map that stays the same with
random weights describes the image, not the network.
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.classifier import Classifier, load
from finetune.data.channels import Image
from finetune.data.images import read_input_or_raise
from finetune.explain import grad_cam, occlusion
from finetune.networks.initialize import fresh_weights

# The dog's outline by hand, (x, y) in the 163 × 163 pixels that the starter sees: 38 % of them.
OUTLINE = (
    (27, 10), (40, 2), (53, 6), (57, 18), (66, 28), (78, 57), (87, 57), (86, 45), (90, 36), (108, 29), (120, 36),
    (124, 47), (118, 58), (128, 70), (134, 90), (150, 104), (155, 120), (153, 132), (145, 132), (143, 125), (135, 112),
    (131, 120), (127, 130), (117, 130), (118, 112), (102, 98), (97, 86), (71, 99), (70, 125), (68, 150), (60, 158),
    (50, 157), (52, 148), (41, 150), (45, 140), (37, 110), (31, 80), (32, 68), (19, 62), (20, 35),
)  # fmt: skip


@pytest.fixture
def starter() -> Classifier:
    return load("starter")


@pytest.fixture
def poodle(shared: Path, starter: Classifier) -> Image:
    return read_input_or_raise(shared / "data" / "photos" / "poodle.png", starter.model.network.preprocessing)


@pytest.fixture
def dog() -> np.ndarray:
    outline = np.zeros((163, 163), np.uint8)
    cv2.fillPoly(outline, [np.array(OUTLINE)], 1)
    return outline.astype(bool)


def variation(values: np.ndarray) -> float:
    """Return the standard deviation divided by the mean: 0 for a uniform map."""
    return float(values.std() / values.mean())


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_map_is_on_the_dog(starter: Classifier, poodle: Image, dog: np.ndarray) -> None:
    assert 0.37 < dog.mean() < 0.39
    index = starter.class_names.index("standard poodle")
    cam, drop = grad_cam(starter, poodle, [index])[0], occlusion(starter, poodle, [index])[0]
    # Measured: 66 % of the map is on the dog, 92 % of the pixels above half, 68 % of the drop by covering.
    assert cam[dog].sum() / cam.sum() > 0.6
    assert (cam > 0.5)[dog].sum() / (cam > 0.5).sum() > 0.85
    lost = np.maximum(drop, 0)
    assert lost[dog].sum() / lost.sum() > 0.6
    assert dog.flat[drop.argmax()]
    assert drop.max() > 0.3


@pytest.mark.tensorflow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_weights_look_everywhere(
    starter: Classifier, poodle: Image, dog: np.ndarray, shared: Path, seed: int
) -> None:
    network = starter.model.network
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed)
    random = Classifier(replace(starter.model, weights=weights))
    trained_cam, random_cam = (
        grad_cam(classifier, poodle, [_predicted(classifier, shared)])[0] for classifier in (starter, random)
    )
    # Measured: 0.84 with the trained weights, 0.28 to 0.33 with random ones, and 45 to 47 % of the map on the dog.
    assert variation(trained_cam) > 0.75
    assert variation(random_cam) < 0.4
    assert random_cam[dog].sum() / random_cam.sum() < 0.5


def _predicted(classifier: Classifier, shared: Path) -> int:
    return next(classifier.predict([shared / "data" / "photos" / "poodle.png"])).scores[0].index
