"""The range test: rates that grow evenly, a suggestion that can be read off, files in the folder."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.small_heads import plan_for, separable

from finetune.config import TrainConfig
from finetune.errors import FinetuneError, RunError
from finetune.training import find_rate
from finetune.training.find_rate import HIGHEST, LOWEST, STEPS, suggest, try_rates
from finetune.training.head import Head
from finetune.training.train import find_rate as find


def test_a_tenth_of_the_rate_with_the_lowest_loss() -> None:
    rates = [10.0**power for power in range(-15, 5)]
    losses = [1.0] * 14 + [0.8, 0.5, 0.3, 0.2, 0.6, 3.0]
    assert suggest(rates, losses) == pytest.approx(10.0**1)


def test_a_fall_within_the_noise_is_none() -> None:
    assert suggest([0.001, 0.01, 0.1], [1.0, 0.95, 1.05]) is None
    assert suggest([], []) is None


def test_rates_grow_evenly_and_end_where_it_diverges() -> None:
    plan = plan_for(("fc8",))
    rates, losses = try_rates(Head(plan), plan.config, separable(16))
    assert rates[0] == pytest.approx(LOWEST)
    assert rates[-1] <= HIGHEST * 1.001
    growth = (HIGHEST / LOWEST) ** (1 / (STEPS - 1))
    assert np.diff(np.log(rates)) == pytest.approx(np.full(len(rates) - 1, np.log(growth)))
    assert all(np.isfinite(losses))
    assert min(losses) < losses[0]


def test_plot_and_table(
    tiny_weights: Path,
    image_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(find_rate, "CLEARLY", 2)  # whatever random weights make of it
    data = image_folder(stripes=8, dots=8)
    caplog.set_level("INFO")
    found = find(TrainConfig(data=data, weights=str(tiny_weights), out=tmp_path / "rates"))
    assert "--find-lr is for training by gradient, so fc8 starts fresh" in caplog.text
    assert {path.name for path in (tmp_path / "rates").iterdir()} == {"find_lr.png", "find_lr.csv"}
    assert cv2.imread(str(found.plot)).shape[:2] == (600, 840)
    lines = (tmp_path / "rates" / "find_lr.csv").read_text().splitlines()
    assert lines[0] == "learning_rate,loss"
    assert len(lines) == 1 + len(found.rates)
    assert found.suggestion == suggest(list(found.rates), list(found.losses))
    with pytest.raises(RunError, match="contains files and is not a run; choose another --out"):
        find(TrainConfig(data=data, weights=str(tiny_weights), out=tmp_path / "rates"))


def test_no_suggestion_is_an_error_with_the_plot(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_rate, "suggest", lambda rates, losses: None)
    with pytest.raises(
        FinetuneError, match=r"no learning rate lowered the loss clearly in \d+ steps, see .*find_lr.png"
    ):
        find(TrainConfig(data=image_folder(stripes=4, dots=4), weights=str(tiny_weights), out=tmp_path / "rates"))
    assert (tmp_path / "rates" / "find_lr.png").is_file()
