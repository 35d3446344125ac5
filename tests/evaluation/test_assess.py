"""`assess`: metrics worked out by hand, and which images are listed."""

import json
import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from finetune.data.dataset import Skipped
from finetune.errors import WeightsError
from finetune.evaluation.assess import SHOWN, assess

NAMES = ("red", "green", "blue")


def logits(*probabilities: list[float]) -> np.ndarray:
    return np.log(np.array(probabilities)).astype(np.float32)


def floor_by_hand(*confidences: float) -> float:
    """Return the mean calibration error of one bin over all cases of right and wrong images."""
    error = 0.0
    for right in product((0, 1), repeat=len(confidences)):
        probability = math.prod(c if one else 1 - c for c, one in zip(confidences, right, strict=True))
        error += probability * abs(sum(right) - sum(confidences)) / len(confidences)
    return error


def test_metrics_by_hand() -> None:
    """Two of four are right; the third is more wrong than the second."""
    labelled = [(Path("a"), 0), (Path("b"), 1), (Path("c"), 0), (Path("d"), 2)]
    output = logits([0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5])
    done = assess(labelled, output, NAMES, 1.0)
    assert (done.images, done.top1, done.top5) == (4, 0.5, 1)
    assert done.confusion.tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert [metrics.recall for metrics in done.per_class] == [0.5, 0, 1]
    assert done.top1_interval == pytest.approx((0.1500, 0.8500), abs=1e-4)  # Wilson: ± z / (2 √(4 + z²)) here
    # one bin: 0.5, 0.5, 0.6 and 0.8, half of them right
    assert done.ece_before == pytest.approx(0.6 - 0.5, abs=1e-6)
    assert done.ece_after == done.ece_before
    assert done.ece_floor == pytest.approx(floor_by_hand(0.5, 0.5, 0.6, 0.8), rel=0.06)
    assert done.loss_before == pytest.approx(-math.log(0.6 * 0.3 * 0.1 * 0.5) / 4, abs=1e-6)
    assert done.loss_after == done.loss_before
    assert [(result.path.name, result.true, result.predicted) for result in done.most_wrong] == [
        ("c", "red", "green"), ("b", "green", "red"),
    ]  # fmt: skip
    assert done.most_wrong[0].probability == pytest.approx(0.8)
    assert done.most_wrong[0].true_probability == pytest.approx(0.1)
    assert {result.path.name for result in done.least_certain[:2]} == {"b", "d"}
    assert [result.path.name for result in done.least_certain[2:]] == ["a", "c"]


def test_the_temperature_changes_probabilities_and_nothing_else() -> None:
    labelled = [(Path("a"), 0), (Path("b"), 1)]
    plain, cooled = (assess(labelled, logits([0.9, 0.1], [0.9, 0.1]), ("x", "y"), t) for t in (1.0, 2.0))
    assert cooled.ece_before == pytest.approx(plain.ece_before) == pytest.approx(0.4)
    assert cooled.ece_after == pytest.approx(0.25)  # √9 : √1
    assert plain.ece_floor == pytest.approx(floor_by_hand(0.9, 0.9), rel=0.06)
    assert cooled.ece_floor == pytest.approx(floor_by_hand(0.75, 0.75), rel=0.06)
    assert cooled.loss_before == pytest.approx(plain.loss_before) == pytest.approx(-math.log(0.9 * 0.1) / 2)
    assert cooled.loss_after == pytest.approx(-math.log(0.75 * 0.25) / 2)
    assert (cooled.top1, cooled.confusion.tolist()) == (plain.top1, plain.confusion.tolist())


def test_json_has_everything() -> None:
    done = assess([(Path("a"), 1)], logits([0.5, 0.25, 0.25]), NAMES, 1.5, [Skipped(Path("b"), "the file is empty")])
    written = json.loads(json.dumps(done.to_json()))
    share = pytest.approx(3.8415 / 4.8415, abs=1e-4)  # z² / (1 + z²): one image proves little
    assert written["intervals"] == {"top1": [0, share], "top5": [pytest.approx(1 / 4.8415, abs=1e-4), 1]}
    assert (written["trained_on"], written["validated_on"]) == (None, None)
    assert written["confusion"] == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert written["per_class"][0] == {"label": "red", "precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert sum(bin["images"] for bin in written["reliability_after"]) == 1
    assert written["ece_floor"] == done.ece_floor > 0
    assert written["most_wrong"][0]["path"] == "a"
    assert written["unreadable"] == [{"path": "b", "error": "the file is empty"}]


def test_only_the_first_are_listed() -> None:
    done = assess([(Path(str(i)), 1) for i in range(50)], np.float32([[i, 0] for i in range(1, 51)]), ("x", "y"), 1.0)
    assert [result.path.name for result in done.most_wrong] == [str(i) for i in range(49, 49 - SHOWN, -1)]
    assert [result.path.name for result in done.least_certain] == [str(i) for i in range(SHOWN)]
    assert SHOWN == 12, "more thumbnails make a page heavy"


def test_output_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(WeightsError, match="the model's output for b is not finite"):
        assess([(Path("a"), 0), (Path("b"), 0)], np.float32([[1, 2], [np.nan, 1]]), ("x", "y"), 1.0)


def test_two_classes_with_one_name_are_still_two() -> None:
    """ImageNet has two classes called crane: the bird taken for the machine is wrong."""
    done = assess([(Path("bird"), 0), (Path("machine"), 1)], logits([0.2, 0.8], [0.3, 0.7]), ("crane", "crane"), 1.0)
    assert done.top1 == 0.5
    assert [(result.path.name, result.true, result.predicted) for result in done.most_wrong] == [
        ("bird", "crane", "crane")
    ]


def test_top5_counts_the_first_five_of_six() -> None:
    """The true class is fifth for one image and sixth for the other."""
    output = np.float32([[6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1]])
    done = assess([(Path("a"), 4), (Path("b"), 5)], output, tuple("uvwxyz"), 1.0)
    assert (done.top1, done.top5) == (0, 0.5)


def test_equally_wrong_images_keep_their_order() -> None:
    done = assess([(Path(name), 1) for name in "cab"], logits(*[[0.9, 0.1]] * 3), ("x", "y"), 1.0)
    assert [result.path.name for result in done.most_wrong] == ["c", "a", "b"]
    assert [result.path.name for result in done.least_certain] == ["c", "a", "b"]
