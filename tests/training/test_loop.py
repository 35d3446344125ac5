"""The loop: determinism, what is frozen, what is kept, resuming from a state, a loss that is not finite."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.small_heads import NETWORK, RNG, plan_for, separable, states, train_on

from finetune.errors import FinetuneError
from finetune.training.checkpoint import load_state, save_state
from finetune.training.head import Head
from finetune.training.state import Progress, State
from finetune.training.trainable import LabelledRows


def same_bits(one: State, other: State) -> None:
    """Fail unless two states hold the same history and the same bits."""
    assert (one.history, one.halvings) == (other.history, other.halvings)
    for ours, theirs in (
        (one.values.weights, other.values.weights),
        (one.values.average, other.values.average),
        (one.best_weights or {}, other.best_weights or {}),
    ):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            np.testing.assert_array_equal(value, theirs[name])
    for mine, its in zip(one.values.optimizer, other.values.optimizer, strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize("patience", [None, 12])
def test_learns_and_keeps_the_last_or_with_patience_the_best_epoch(patience: int | None) -> None:
    data = separable(32)
    every = states(plan_for(("fc8",), epochs=12, patience=patience), data, separable(16))
    assert [len(state.history) for state in every] == list(range(1, 13))
    end = every[-1]
    assert end.best.val_accuracy == 1.0
    assert end.best == max(end.history, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    assert end.kept == (end.best if patience else end.history[-1])
    kept = every[end.kept.epoch - 1].values.weights
    assert set(end.kept_weights) == {"fc8/kernel", "fc8/bias"}
    for name, value in end.kept_weights.items():
        np.testing.assert_array_equal(value, kept[name])


def test_same_seed_same_bits() -> None:
    train, val = separable(30), separable(10)
    train = LabelledRows(np.abs(RNG.normal(size=(30, 4))).astype(np.float32), train.labels)
    first, again, other = (
        states(plan_for(("fc7", "fc8"), seed=seed), train, LabelledRows(train.rows[:10], val.labels))[-1]
        for seed in (5, 5, 6)
    )
    same_bits(first, again)
    assert first.history != other.history


def test_the_whole_network_from_pixels() -> None:
    """With no trunk the rows are uint8 pixels, every layer moves, and the same seed gives the same bits."""
    plan = plan_for(tuple(NETWORK.weighted_layers()), epochs=2, learning_rate=0.001)
    rows = RNG.integers(0, 256, (8, 67, 67, 3), dtype=np.uint8)
    data = LabelledRows(rows, (np.arange(8) % 2).astype(np.int32))
    first, again = (states(plan, data, data)[-1] for _ in range(2))
    same_bits(first, again)
    for name, value in first.values.weights.items():
        assert not np.array_equal(value, plan.weights[name]), f"{name} did not move"


def test_a_frozen_layer_behind_a_trained_one_stays() -> None:
    """fc7 is frozen between the trained fc6 and fc8: gradients pass through, its weights do not move."""
    plan = plan_for(("fc6", "fc8"))
    features = RNG.uniform(0, 1, (8, 1, 1, 256)).astype(np.float32)
    data = LabelledRows(features, (np.arange(8) % 2).astype(np.int32))
    outcome = states(plan, data, data)[-1]
    assert {name.split("/")[0] for name in outcome.kept_weights} == {"fc6", "fc8"}
    assert not np.array_equal(outcome.kept_weights["fc6/kernel"], plan.weights["fc6/kernel"])


@pytest.mark.parametrize("trained", [("fc8",), ("fc6", "fc8")])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 4},
        {"ema": 0.9, "optimizer": "adam", "mixup": 0.3, "layer_lr": ("0.5",), "dropout": 0.2},
    ],
)
def test_resuming_from_disk_ends_with_the_same_bits(
    trained: tuple[str, ...], options: dict[str, Any], tmp_path: Path
) -> None:
    plan = plan_for(trained, epochs=5, **options)
    rows = RNG.uniform(0, 1, (12, 1, 1, 256) if "fc6" in trained else (12, 4)).astype(np.float32)
    data = LabelledRows(rows, (np.arange(12) % 2).astype(np.int32))
    whole = states(plan, data, data)
    save_state(tmp_path / "checkpoint" / "last.safetensors", whole[1])
    loaded = load_state(tmp_path / "checkpoint" / "last.safetensors")
    resumed = states(plan, data, data, Progress(loaded))
    assert len(resumed) == 3
    same_bits(whole[-1], resumed[-1])


def test_resuming_within_an_epoch_ends_with_the_same_bits(tmp_path: Path) -> None:
    """With a checkpoint after every batch: from each of them, the end is the same."""
    plan = plan_for(("fc6", "fc8"), epochs=2, checkpoint_minutes=1e-12)
    data = LabelledRows(RNG.uniform(0, 1, (12, 1, 1, 256)).astype(np.float32), LABELS)
    every = states(plan, data, data)
    assert [(len(state.history), state.part.batches) for state in every] == [
        (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)
    ]  # fmt: skip
    for place, state in enumerate(every[:-1]):
        save_state(tmp_path / "within.safetensors", state)
        loaded = load_state(tmp_path / "within.safetensors")
        whole = every[3] if place > 3 else None
        progress = Progress(loaded) if loaded and not loaded.part.batches else Progress(whole, loaded)
        resumed = states(plan, data, data, progress)
        same_bits(every[-1], resumed[-1])


LABELS = (np.arange(12) % 2).astype(np.int32)


def poisoned(monkeypatch: pytest.MonkeyPatch, calls: set[int]) -> list[float]:
    """Let the steps with these numbers give a loss that is not finite; return the list that the rates go to."""
    step, set_rate = Head.step, Head.set_rate
    rates: list[float] = []
    count = 0

    def spoil(head: Head, *args: Any, **options: Any) -> tuple[float, float]:
        nonlocal count
        count += 1
        loss, correct = step(head, *args, **options)
        return (float("nan") if count in calls else loss), correct

    def note(head: Head, rate: float) -> None:
        rates.append(rate)
        set_rate(head, rate)

    monkeypatch.setattr(Head, "step", spoil)
    monkeypatch.setattr(Head, "set_rate", note)
    return rates


def test_a_loss_that_is_not_finite_is_recovered_from(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Epoch 2 starts again, from the bits after epoch 1, with half the rate, which stays halved."""
    plan = plan_for(("fc8",), schedule="constant")
    data = replace(separable(12), paths=tuple(Path(f"{i}.png") for i in range(12)))
    rates = poisoned(monkeypatch, {5})
    with caplog.at_level(logging.WARNING):
        ended = states(plan, data, data)[-1]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05])
    assert (ended.halvings, [epoch.learning_rate for epoch in ended.history]) == (1, pytest.approx([0.1, 0.05, 0.05]))
    assert "the loss became nan in epoch 2, batch 2 of 3 (" in caplog.text
    assert " and 1 more); returning to the last state, with the learning rate halved to 0.05" in caplog.text


def test_the_recovered_state_is_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poison in the first epoch: it ends like a run that started with half the rate."""
    data = separable(12)
    straight = states(plan_for(("fc8",), learning_rate=0.05), data, data)[-1]
    poisoned(monkeypatch, {2})
    recovered = states(plan_for(("fc8",)), data, data)[-1]
    same_bits(replace(straight, halvings=1), recovered)


def test_three_times_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    data = replace(separable(8), paths=tuple(Path(f"{i}.png") for i in range(8)))
    poisoned(monkeypatch, set(range(1, 10)))
    with pytest.raises(FinetuneError) as error:
        states(plan_for(("fc8",)), data, data)
    message = str(error.value)
    assert message.startswith("the loss became nan in epoch 1, batch 1 of 2 (")
    assert "even with the learning rate halved 3 times to 0.0125; lower --learning-rate (it started at 0.1)" in message


def test_an_absurd_rate_ends_in_the_error() -> None:
    plan = plan_for(tuple(NETWORK.weighted_layers()), learning_rate=1e30)
    data = LabelledRows(RNG.integers(0, 256, (8, 67, 67, 3), dtype=np.uint8), LABELS[:8])
    with pytest.raises(FinetuneError, match=r"even with the learning rate halved 3 times to 1.25e\+29; lower"):
        states(plan, data, data)


def test_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best epoch is the second; two worse ones after it are enough."""
    found = iter([(1.0, 0.5), (0.5, 0.9), (0.6, 0.9), (0.7, 0.8), (0.1, 1.0)])
    monkeypatch.setattr(Head, "evaluate", lambda head, data: next(found))
    data = separable(8)
    ended = states(plan_for(("fc8",), epochs=5, patience=2), data, data)[-1]
    assert (len(ended.history), ended.best.epoch, ended.kept.epoch) == (4, 2, 2)


def test_a_stage_starts_with_the_heads_own_values() -> None:
    """The state of an earlier stage holds fewer layers; its history stays, its values do not count."""
    data = separable(8)
    first = states(plan_for(("fc8",), epochs=2), data, data)[-1]
    later = list(train_on(plan_for(("fc7", "fc8")), range(3, 5), data, data, Progress(first)))
    assert [epoch.epoch for epoch in later[-1].history] == [1, 2, 3, 4]
    assert later[-1].history[2].learning_rate == 0.1, "each stage's rate starts at the full rate"
    assert set(later[-1].values.weights) == {"fc7/kernel", "fc7/bias", "fc8/kernel", "fc8/bias"}


def test_one_view_of_every_image_in_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three views an image: each epoch sees every image once, and over epochs all views."""
    seen: list[tuple[int, int]] = []

    def note(head: Head, rows: NDArray[Any], labels: NDArray[Any], *args: Any, **options: Any) -> tuple[float, float]:
        seen.extend((int(row), int(label)) for row, label in zip(rows[:, 0], labels, strict=True))
        return 0.0, 0.0

    monkeypatch.setattr(Head, "step", note)
    rows = np.zeros((6, 4), np.float32)
    rows[:, 0] = np.arange(6)  # the row's own number
    data = LabelledRows(rows, np.arange(2, dtype=np.int32), views=3)
    states(plan_for(("fc8",), epochs=20), data, LabelledRows(rows[:2], data.labels))
    assert len(seen) == 40
    for epoch in range(20):
        assert sorted(label for _, label in seen[2 * epoch : 2 * epoch + 2]) == [0, 1]
    assert all(row // 3 == label for row, label in seen)
    assert {row % 3 for row, _ in seen} == {0, 1, 2}


def test_mixup_keeps_more_of_an_image_than_it_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares below a half are turned round, so that the label of an image is the one it shows most of."""
    shares: list[float] = []

    def note(head: Head, rows: Any, labels: Any, weights: Any, seed: int, share: float) -> tuple[float, float]:
        shares.append(share)
        return 0.0, 0.0

    monkeypatch.setattr(Head, "step", note)
    data = separable(8)
    states(plan_for(("fc8",), epochs=20, mixup=1.0), data, data)
    assert len(shares) == 40
    assert 0.5 <= min(shares) < 0.6
    assert max(shares) > 0.9
    shares.clear()
    states(plan_for(("fc8",)), data, data)
    assert set(shares) == {1.0}, "without mixup, all of it"
