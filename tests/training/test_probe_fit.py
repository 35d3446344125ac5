"""The arithmetic of a probe, against scikit-learn on features as they are, and against NumPy."""

import threading
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import threadpoolctl
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from finetune.errors import FinetuneError
from finetune.metrics import log_loss, softmax
from finetune.training import probe_fit
from finetune.training.probe_fit import TriedStrength, best_strength, choose_layer, cross_validate, fit
from finetune.training.probe_folds import ALWAYS_TRAINED, make_folds

WIDE, TALL = 300, 20  # values, of 120 rows: more than rows, and fewer


def made_up(classes: int, values: int, images: int = 60) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str]]:
    """Return rows with two views of each image, labels that they hint at, and keys in another order."""
    random = np.random.default_rng(classes * values)
    labels = np.arange(images) % classes
    views = np.repeat(labels, 2)
    centres = random.standard_normal((classes, values))
    rows = 5 + 0.4 * centres[views] + 3 * random.standard_normal((len(views), values)) / (1 + np.arange(values) / 9)
    return rows.astype(np.float32), labels, [f"{image * 7 % 61:02d}" for image in range(images)]


def scale_by_hand(rows: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.var(rows.astype(np.float64), axis=0).sum()))


def by_scikit_learn(rows: NDArray[np.float32], labels: NDArray[Any], strength: float) -> LogisticRegression:
    plain = LogisticRegression(C=1 / (strength * scale_by_hand(rows) ** 2), tol=1e-10, max_iter=100_000)
    return plain.fit(rows.astype(np.float64), np.repeat(labels, 2))


@pytest.fixture(params=["in memory", "in blocks"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in blocks":
        monkeypatch.setattr(probe_fit, "MOST_ROWS", 10)
        monkeypatch.setattr("finetune.training.probe_blocks.BLOCK_ROWS", 7)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("strength", [10, 0.3, 0.01])
@pytest.mark.parametrize("values", [WIDE, TALL])
@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_those_of_scikit_learn(classes: int, values: int, strength: float) -> None:
    rows, labels, keys = made_up(classes, values)
    fresh = made_up(classes, values)[0][::-1] + 1
    kernel, bias = fit(rows, labels, keys, strength)
    assert (kernel.shape, bias.shape) == ((values, classes), (classes,))
    assert kernel.dtype == bias.dtype == np.float32
    plain = by_scikit_learn(rows, labels, strength)
    for some in (rows, fresh):
        expected = plain.predict_proba(some.astype(np.float64))
        np.testing.assert_allclose(softmax(some @ kernel + bias), expected, atol=1e-3)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("values", [WIDE, TALL])
def test_the_gradient_of_the_objective_is_zero(values: int) -> None:
    rows, labels, keys = made_up(3, values)
    strength, scale = 0.1, scale_by_hand(rows)
    kernel, bias = (array.astype(np.float64) for array in fit(rows, labels, keys, strength))
    residuals = softmax(rows @ kernel + bias) - np.eye(3)[np.repeat(labels, 2)]
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    slope = centred.T @ residuals / scale + strength * scale * kernel
    assert np.abs(slope).max() < 2e-3  # of sums over 120 rows; without the penalty's part it is 0.3
    assert np.abs(residuals.sum(axis=0)).max() < 2e-3
    assert np.abs(centred.T @ residuals / scale).max() > 0.1


def test_copies_of_rows_do_not_hinder_the_rotation() -> None:
    rows, labels, keys = made_up(3, WIDE)
    rows[1::2] = rows[::2]  # mirror images of symmetrical images
    kernel, bias = fit(rows, labels, keys, 0.3)
    expected = by_scikit_learn(rows, labels, 0.3).predict_proba(rows)
    np.testing.assert_allclose(softmax(rows @ kernel + bias), expected, atol=1e-3)


@pytest.mark.parametrize("values", [WIDE, TALL])
def test_out_of_fold_logits_are_those_of_scikit_learn_on_the_other_folds(values: int) -> None:
    rows, labels, keys = made_up(3, values)
    folds = make_folds(labels, np.arange(60), keys)
    tried = cross_validate(rows, labels, folds, keys, [1, 0.1])
    for one in tried:
        penalty = 1 / (one.strength * scale_by_hand(rows) ** 2)
        for fold in range(5):
            others = np.repeat(folds != fold, 2)
            plain = LogisticRegression(C=penalty, tol=1e-10, max_iter=100_000)
            plain.fit(rows[others].astype(np.float64), np.repeat(labels, 2)[others])
            expected = plain.predict_proba(rows[::2][folds == fold].astype(np.float64))
            np.testing.assert_allclose(softmax(one.logits[folds == fold]), expected, atol=1e-3)
        hits = one.logits.argmax(axis=1) == labels
        assert one.accuracy == hits.mean()
        assert one.log_loss == pytest.approx(log_loss(one.logits, labels))
        assert one.standard_error == pytest.approx(hits.std() / np.sqrt(60))


def test_shuffled_labels_are_found_by_chance_only() -> None:
    rows, labels, _ = made_up(2, WIDE, images=400)
    labels = np.random.default_rng(1).permutation(labels)
    tried = cross_validate(rows, labels, make_folds(labels, np.arange(400), keys_of(400)), keys_of(400), [10, 0.1])
    for one in tried:
        assert abs(one.accuracy - 0.5) < 4 * one.standard_error
        assert one.log_loss > 0.69  # ln 2: what knowing nothing costs


def test_a_mirrored_row_does_not_leak_into_the_fit_that_classifies_its_image() -> None:
    """Each image has a value of its own that its two rows share: a fit that saw one row would know the other."""
    random = np.random.default_rng(0)
    labels = random.permutation(np.arange(80) % 2)
    rows = np.repeat(np.eye(80, dtype=np.float32), 2, axis=0)
    folds = make_folds(labels, np.arange(80), keys_of(80))
    (one,) = cross_validate(rows, labels, folds, keys_of(80), [0.01])
    assert abs(one.accuracy - 0.5) < 4 * one.standard_error
    kernel, bias = fit(rows, labels, keys_of(80), 0.01)
    assert ((rows @ kernel + bias).argmax(axis=1) == np.repeat(labels, 2)).all()


def test_only_view_0_is_classified() -> None:
    rows, labels, keys = made_up(2, TALL)
    rows[1::2] = rows[1::2] * 0 + np.where(labels == 0, 50, -50)[:, None]  # only mirror images show their class
    rows[::2] = 0
    (one,) = cross_validate(rows, labels, make_folds(labels, np.arange(60), keys), keys, [0.1])
    assert (np.ptp(softmax(one.logits), axis=0) < 0.05).all()


@pytest.mark.parametrize("values", [WIDE, TALL])
def test_the_order_of_images_does_not_matter_to_the_bit(values: int) -> None:
    rows, labels, keys = made_up(3, values)
    order = np.random.default_rng(5).permutation(60)
    moved = rows.reshape(60, 2, -1)[order].reshape(rows.shape)
    folds, moved_keys = make_folds(labels, np.arange(60), keys), [keys[image] for image in order]
    for first, second in zip(
        cross_validate(rows, labels, folds, keys),
        cross_validate(moved, labels[order], folds[order], moved_keys),
        strict=True,
    ):
        assert (first.logits[order] == second.logits).all()
        assert (first.log_loss, first.accuracy) == (second.log_loss, second.accuracy)
    for first_array, second_array in zip(
        fit(rows, labels, keys, 1), fit(moved, labels[order], moved_keys, 1), strict=True
    ):
        assert (first_array == second_array).all()


@pytest.mark.usefixtures("both_ways")
def test_threads_do_not_matter_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels, _ = made_up(3, 600, images=120)
    folds = make_folds(labels, np.arange(120), keys_of(120))
    found, before = [], threading.active_count()
    for threads in (1, 2, 4):
        monkeypatch.setattr("os.cpu_count", lambda threads=threads: threads)
        with threadpoolctl.threadpool_limits(threads):
            (tried,) = cross_validate(rows, labels, folds, keys_of(120), [0.3])
            found.append((tried.logits.tobytes(), fit(rows, labels, keys_of(120), 0.3)[0].tobytes()))
    assert found[0] == found[1] == found[2]
    assert threading.active_count() <= before


@pytest.mark.usefixtures("both_ways")
def test_separable_classes_converge() -> None:
    labels = np.arange(40) % 2
    rows = np.repeat(np.where(labels, 1.0, -1.0), 2)[:, None].astype(np.float32) * np.ones((1, 3), np.float32)
    kernel, bias = fit(rows, labels, keys_of(40), 0.01)
    assert np.isfinite(kernel).all()
    np.testing.assert_allclose(bias, 0, atol=1e-4)
    # By hand, w the difference of the columns, one value of length s = sqrt(3): 80 · σ(-z) = λ · z, z = Σ w
    margin = float((kernel[:, 1] - kernel[:, 0]).sum())
    assert 80 / (1 + np.exp(margin)) == pytest.approx(0.01 * margin, rel=1e-2)


def test_a_class_with_one_image_is_trained_on_and_counts_in_nothing() -> None:
    rows, labels, keys = made_up(2, WIDE, images=61)
    labels[60] = 2
    folds = make_folds(labels, np.arange(61), keys)
    assert folds[60] == ALWAYS_TRAINED
    tried = cross_validate(rows, labels, folds, keys, [1])
    assert np.isnan(tried[0].logits[60]).all()
    assert np.isfinite(tried[0].logits[:60]).all()
    assert tried[0].accuracy == (tried[0].logits[:60].argmax(axis=1) == labels[:60]).mean()


def test_the_lowest_log_loss_is_chosen_not_the_highest_accuracy() -> None:
    sure, right, poor = (
        TriedStrength(1, np.zeros((1, 2)), *found, 0) for found in ((0.4, 0.8), (0.5, 0.9), (0.6, 0.95))
    )
    assert best_strength([poor, sure, right]) is sure
    assert choose_layer({"fc7": [poor, right], "fc6": [poor, sure], "pool5": [poor]}) == "fc6"


@pytest.mark.usefixtures("both_ways")
def test_rows_of_any_shape_and_kind_are_read_by_number() -> None:
    class OnDisk:
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
            return rows[numbers].astype(np.float16).reshape(-1, 2, 5, 2)

    rows, labels, keys = made_up(3, TALL)
    expected = fit(rows.astype(np.float16), labels, keys, 1)
    for found, same in zip(fit(OnDisk(), labels, keys, 1), expected, strict=True):
        assert (found == same).all()


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_reported(value: float) -> None:
    rows, labels, keys = made_up(3, TALL)
    rows[3, 4] = value
    with pytest.raises(FinetuneError, match=r"expected finite features, but some are .*; check the weights"):
        fit(rows, labels, keys, 1)


@pytest.mark.usefixtures("both_ways")
def test_equal_rows_give_the_shares_of_the_classes() -> None:
    labels = np.array([0, 0, 0, 1] * 5)
    rows = np.ones((40, 30), np.float32)
    kernel, bias = fit(rows, labels, keys_of(20), 1)
    np.testing.assert_allclose(softmax(rows[:1] @ kernel + bias), [[0.75, 0.25]], atol=1e-4)


def keys_of(count: int) -> list[str]:
    return [f"{image * 7 % 401:03d}{image:03d}" for image in range(count)]


@pytest.mark.parametrize("values", [WIDE, TALL])
def test_weaker_strengths_are_not_tried_after_two_that_did_worse(values: int) -> None:
    """And none of them would have been better, tried alone."""
    rows, labels, keys = made_up(3, values)
    labels[::3] = labels[::3][::-1]  # so that weak strengths overfit
    labels[1::4] = 0
    folds = make_folds(labels, np.arange(60), keys)
    strengths = [10 / 3**step for step in range(14)]
    tried = cross_validate(rows, labels, folds, keys, strengths)
    losses = [one.log_loss for one in tried]
    rises = [later > earlier for earlier, later in pairwise(losses)]
    assert [one.strength for one in tried] == strengths[: len(tried)]
    assert len(tried) < 14
    assert rises[-2:] == [True, True]
    assert not any(rises[place] and rises[place + 1] for place in range(len(rises) - 2))
    alone = [cross_validate(rows, labels, folds, keys, [strength])[0].log_loss for strength in strengths]
    assert min(alone) == pytest.approx(best_strength(tried).log_loss, rel=1e-3)
