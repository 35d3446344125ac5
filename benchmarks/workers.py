"""How far training with several workers is from training with one, step by step, and how long a step takes.

    python benchmarks/workers.py --data IMAGES [--weights starter] [--workers 2 4] [--steps 20]

Every layer is trained on the same batches. In the row "one, rounded" the starting weights of one worker are off by
their last bit: how far the training itself carries what rounding does.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finetune.config import TrainConfig
from finetune.data.read_data import read_data
from finetune.networks.initialize import Arrays
from finetune.system.quiet import import_tensorflow
from finetune.training.make_plan import make_plan

if TYPE_CHECKING:
    from finetune.training.plan import Plan
    from finetune.training.trainable import LabelledRows


class Step(NamedTuple):
    """What a step left: the mean loss of its batch, all weights, and how long it took."""

    loss: float
    weights: Arrays
    seconds: float


def main() -> None:
    """Print a table for each number of workers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default="starter")
    parser.add_argument("--network", default="alexnet")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--optimizer", choices=["sgd", "adam", "adamw"], default="sgd")
    parser.add_argument("--learning-rate", type=float)
    options = parser.parse_args()
    config = TrainConfig(
        data=options.data,
        weights=options.weights,
        network=options.network,
        skip=("fc8",),
        train=("all",),
        views=1,
        batch_size=options.batch_size,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
    )
    import_tensorflow()
    from finetune.training.features import Trunk
    from finetune.training.splits import Splits

    dataset = read_data(config.data, 0.2, None)
    plan = make_plan(config, dataset)
    plan = plan.at(plan.stages[0], {})
    with ExitStack() as files:
        trunk = Trunk(plan)
        store = files.enter_context(trunk.open_store(cache=False))
        data = Splits(plan, trunk, store, dataset, files).train(1)
        one = list(steps(plan, data, options.steps))
        print(f"learning rate {plan.config.learning_rate:g}, losses {one[0].loss:.4f} to {one[-1].loss:.4f}\n")
        print("| workers | start s | step ms | " + " | ".join(f"step {number}" for number in shown(len(one))) + " |")
        print("|---|" + "---:|" * (2 + len(shown(len(one)))))
        print(row("one", one, one, 0.0))
        rounded = {name: np.nextafter(value, np.float32(np.inf)) for name, value in plan.weights.items()}
        print(row("one, rounded", one, list(steps(replace(plan, weights=rounded), data, options.steps)), 0.0))
        for count in options.workers:
            started = time.perf_counter()
            several = list(steps(replace(plan, workers=count), data, options.steps))
            print(row(str(count), one, several, time.perf_counter() - started - sum(step.seconds for step in several)))


def steps(plan: "Plan", data: "LabelledRows", count: int) -> Iterator[Step]:
    """Yield every step of a training on the plan's workers."""
    from finetune.training.open_head import open_head

    size, images = plan.config.batch_size, len(data.labels)
    generator = np.random.default_rng(plan.config.seed)
    order = np.concatenate([generator.permutation(images) for _ in range(-(-count * size // images))])
    with open_head(plan) as head:
        head.set_rate(plan.config.learning_rate)
        for number in range(count):
            index = order[number * size : (number + 1) * size]
            rows, weights = data.rows[index], np.ones(len(index), np.float32)
            started = time.perf_counter()
            loss, _ = head.step(rows, data.labels[index], weights, seed=number)
            seconds = time.perf_counter() - started
            yield Step(loss / len(index), head.values().weights, seconds)


def shown(count: int) -> list[int]:
    """Return the numbers of the steps that the table shows, from 1."""
    return [number for number in (1, 2, 5, 10, 15, 20, 30, 50, 100) if number <= count]


def row(name: str, one: list[Step], other: list[Step], started: float) -> str:
    """Return a line of the table: the largest differences of loss and weights from those of one worker."""
    cells = []
    for number in shown(len(one)):
        expected, found = one[number - 1], other[number - 1]
        weights = max(float(np.abs(expected.weights[name] - found.weights[name]).max()) for name in expected.weights)
        cells.append(f"{abs(expected.loss - found.loss):.0e} / {weights:.0e}")
    milliseconds = 1000 * statistics.median(step.seconds for step in other[1:])
    return f"| {name} | {started:.1f} | {milliseconds:.0f} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
