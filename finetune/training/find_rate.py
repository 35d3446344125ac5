"""A range test for the learning rate (Smith 2017, section 3.3): steps at rates from small to large."""

import csv
import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finetune.data.dataset import Dataset
from finetune.errors import FinetuneError
from finetune.evaluation.plots import rate_curve
from finetune.system.atomic import replacing
from finetune.system.progress import track
from finetune.training.defaults import Settled
from finetune.training.features import Trunk
from finetune.training.head import Head
from finetune.training.plan import Plan
from finetune.training.splits import Splits
from finetune.training.trainable import LabelledRows, Trainable

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 120
SMOOTHING = 0.9  # of the loss, from step to step
DIVERGED = 4.0  # times the lowest loss: larger rates need not be tried
CLEARLY = 0.9  # of the loss at the FIRST steps: a smaller fall is noise
FIRST = 10
PLOT, TABLE = "find_lr.png", "find_lr.csv"


@dataclass(frozen=True)
class FoundRate:
    """The rates that were tried with the smoothed loss at each, the suggested one, and the file of the plot."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float
    plot: Path


def range_test(plan: Plan, dataset: Dataset, folder: Path) -> FoundRate:
    """Try the rates on the training images in the first stage; write the plot and a table to `folder`.

    Raises FinetuneError when no rate lowers the loss clearly.
    """
    staged = plan.at(plan.stages[0], {})
    with ExitStack() as open_files:
        trunk = Trunk(staged)
        store = open_files.enter_context(trunk.open_store(plan.config.cache))
        data = Splits(staged, trunk, store, dataset, open_files).train(1)
        rates, losses = try_rates(Head(staged), plan.config, data)
    suggestion = suggest(rates, losses)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / TABLE) as table, replacing(folder / PLOT) as plot:  # both or neither
        with table.open("w", encoding="utf-8", newline="") as file:
            rows = zip(rates, losses, strict=True)
            csv.writer(file, lineterminator="\n").writerows([("learning_rate", "loss"), *rows])
        plot.write_bytes(rate_curve(rates, losses, suggestion))
    if suggestion is None:
        raise FinetuneError(
            f"no learning rate lowered the loss clearly in {len(rates)} steps, see {folder / PLOT}; "
            "train fewer layers, or a few epochs with the default"
        )
    return FoundRate(tuple(rates), tuple(losses), suggestion, folder / PLOT)


def try_rates(head: Trainable, config: Settled, data: LabelledRows) -> tuple[list[float], list[float]]:
    """Return rates, each larger by the same factor than the one before, and the smoothed loss at each.

    One batch per rate, in an order drawn by the seed. Ends early when the loss is not finite or DIVERGED.
    """
    generator = np.random.default_rng([config.seed, 0])
    count = len(data.labels)
    weights = np.ones(count, np.float32) if data.weights is None else data.weights
    order = np.concatenate([generator.permutation(count) for _ in range(-(-STEPS * config.batch_size // count))])
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for step in track(range(STEPS), STEPS, "learning rates", "steps"):
        rate = LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
        index = order[step * config.batch_size : (step + 1) * config.batch_size]
        head.set_rate(rate)
        rows = data.rows[index * data.views]
        loss, _ = head.step(rows, data.labels[index], weights[index], seed=int(generator.integers(2**62)))
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss / len(index)
        smoothed = mean / (1 - SMOOTHING ** (step + 1))  # it starts at 0
        if not math.isfinite(smoothed) or (losses and smoothed > DIVERGED * min(losses)):
            break
        rates.append(rate)
        losses.append(smoothed)
    return rates, losses


def suggest(rates: list[float], losses: list[float]) -> float | None:
    """Return a tenth of the rate with the lowest loss: the loss still falls fast there, far from where it diverges.

    None when the loss hardly fell below that of the smallest rates.
    """
    if not losses or min(losses) > CLEARLY * float(np.mean(losses[:FIRST])):
        return None
    return rates[int(np.argmin(losses))] / 10
