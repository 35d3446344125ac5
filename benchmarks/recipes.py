"""Measure what each option of `finetune train` changes: `python benchmarks/recipes.py --data DIR`, three seeds each.

Prints a Markdown table of validation accuracy and loss, mean ± standard deviation, and the seconds per run.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from finetune.config import TrainConfig
from finetune.training.train import train

ALL = {"skip": ("fc8",), "train": ("all",)}
RECIPES: dict[str, dict[str, Any]] = {
    "linear probe": {},
    "fc8": {"skip": ("fc8",)},
    "learning rate 0.003": {"learning_rate": 0.003},
    "learning rate 0.01": {"learning_rate": 0.01},
    "constant rate": {"schedule": "constant"},
    "step schedule": {"schedule": "step"},
    "warm-up 3": {"warmup": 3},
    "adam 0.001": {"optimizer": "adam", "learning_rate": 0.001},
    "adamw 0.001": {"optimizer": "adamw", "learning_rate": 0.001},
    "weight decay 0.0005": {"weight_decay": 0.0005},
    "weight decay 0.05": {"weight_decay": 0.05},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "mixup 0.2": {"mixup": 0.2},
    "class weights": {"class_weights": "balanced"},
    "ema 0.95": {"ema": 0.95},
    "patience 5": {"patience": 5},
    "8 views, light": {"augmentation": "light"},
    "8 views, alexnet": {"augmentation": "alexnet"},
    "8 views, strong": {"augmentation": "strong"},
    "skip fc7,fc8": {"skip": ("fc7", "fc8")},
    "skip fc6,fc7,fc8": {"skip": ("fc6", "fc7", "fc8")},
    "skip fc6,fc7,fc8, rate 0.01": {"skip": ("fc6", "fc7", "fc8"), "learning_rate": 0.01},
    "train fc7": {"train": ("fc7",)},
    "train fc6,fc7": {"train": ("fc6", "fc7")},
    "train fc6,fc7, rate 0.003": {"train": ("fc6", "fc7"), "learning_rate": 0.003},
    "train fc6,fc7, light, rate 0.003": {"train": ("fc6", "fc7"), "learning_rate": 0.003, "augmentation": "light"},
    "train fc6,fc7, light, ema 0.95": {"train": ("fc6", "fc7"), "augmentation": "light", "ema": 0.95},
    "train fc7, light": {"train": ("fc7",), "augmentation": "light"},
    "stages fc8:10,fc6-fc8:20": {"stages": "fc8:10,fc6-fc8:20"},
    "train all, 10 epochs": {**ALL, "epochs": 10},
    "train all, 10 epochs, layer-lr conv=0.1": {**ALL, "epochs": 10, "layer_lr": ("conv=0.1",)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default="starter")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="run only recipes whose names contain this")
    options = parser.parse_args()
    print("| recipe | validation accuracy, % | validation loss | seconds |\n|---|---|---|---|", flush=True)
    for name, recipe in RECIPES.items():
        if options.only not in name:
            continue
        accuracies, losses, seconds = [], [], []
        for seed in range(options.seeds if recipe else 1):  # a probe has no seed
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                run = train(
                    TrainConfig(
                        data=options.data, weights=options.weights, out=Path(folder, "run"), seed=seed, **recipe
                    )
                )
                seconds.append(time.perf_counter() - started)
                accuracies.append(100 * run.metrics()["val_accuracy"])
                losses.append(run.metrics()["val_loss"])
        print(
            f"| {name} | {spread(accuracies, 1)} | {spread(losses, 3)} | {statistics.median(seconds):.1f} |", flush=True
        )


def spread(values: list[float], digits: int) -> str:
    """Return mean ± standard deviation."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


main()
