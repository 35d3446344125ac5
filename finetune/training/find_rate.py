"""A range test for the learning rate (Smith 2017, section 3.3): steps at rates from small to large."""

import csv
import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finetune.config import TrainConfig
from finetune.data.dataset import Dataset
from finetune.errors import FinetuneError
from finetune.evaluation.plots import rate_curve
from finetune.networks.precision import resolve_precision
from finetune.system.atomic import replacing
from finetune.system.progress import track
from finetune.training.features import Trunk
from finetune.training.head import Head, Labelled
from finetune.training.plan import Plan
from finetune.training.splits import augmentation_for, read_sides

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 120
SMOOTHING = 0.9  # of the loss, from step to step
DIVERGED = 4.0  # times the lowest loss: larger rates need no trying
CLEARLY = 0.9  # the share that is left of the FIRST steps' loss; less of a fall is noise
FIRST = 10
PLOT, TABLE = "find_lr.png", "find_lr.csv"


@dataclass(frozen=True)
class FoundRate:
    """The rates that were tried with the smoothed loss at each, the one suggested, and the plot's file."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float
    plot: Path


def range_test(config: TrainConfig, plan: Plan, dataset: Dataset, folder: Path) -> FoundRate:
    """Try the rates on the training side of the first stage; write the plot and a table to `folder`.

    Raises FinetuneError when no rate lowers the loss clearly.
    """
    staged = plan.at(plan.stages[0], {})
    augmentation = augmentation_for(config, plan.network.preprocessing, dataset)
    with ExitStack() as open_files:
        trunk = Trunk(staged, resolve_precision(config.precision), augmentation)
        store = open_files.enter_context(trunk.open_store(config.cache))
        data = read_sides(config, trunk, store, dataset, open_files).train(1)
        rates, losses = try_rates(Head(staged, config), config, data)
    suggestion = suggest(rates, losses)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / TABLE) as table, replacing(folder / PLOT) as plot:  # both or none, else the folder is taken
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


def try_rates(head: Head, config: TrainConfig, data: Labelled) -> tuple[list[float], list[float]]:
    """Return rates, each larger by the same factor than the one before, and the smoothed loss at each.

    One batch a rate, in random order by the seed. It ends early when the loss is no number or DIVERGED.
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
        smoothed = mean / (1 - SMOOTHING ** (step + 1))  # it began at 0
        if not math.isfinite(smoothed) or (losses and smoothed > DIVERGED * min(losses)):
            break
        rates.append(rate)
        losses.append(smoothed)
    return rates, losses


def suggest(rates: list[float], losses: list[float]) -> float | None:
    """Return a tenth of the rate with the lowest loss: still falling fast, and far from where it diverges.

    None when the loss hardly fell below that of the smallest rates.
    """
    if not losses or min(losses) > CLEARLY * float(np.mean(losses[:FIRST])):
        return None
    return rates[int(np.argmin(losses))] / 10
