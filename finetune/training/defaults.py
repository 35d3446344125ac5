"""What the options of a training leave open, settled: epochs, optimizer, learning rate, weight decay, views."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.choices import Optimizer
from finetune.config import TrainConfig
from finetune.networks import Network
from finetune.option_rules import AUGMENTATION
from finetune.training.stage_spec import Stage

EPOCHS = 30
VAL_FRACTION = 0.2
AUGMENTED_VIEWS = 8
SGD_LEARNING_RATE = 0.001  # BVLC's models/finetune_flickr_style/solver.prototxt
ADAMW_DECAY = 0.01  # as PyTorch's AdamW
LEVEL = "light"  # of augmentation, unless named


@dataclass(frozen=True, kw_only=True)
class Settled(TrainConfig):
    """The options with nothing left open, so that they repeat the run; `epochs` is None only with `stages`."""

    skip: tuple[str, ...]
    optimizer: Optimizer
    learning_rate: float
    weight_decay: float
    views: int


def settle(
    config: TrainConfig, network: Network, source_name: str, skip: tuple[str, ...], stages: tuple[Stage, ...]
) -> Settled:
    """Return the options with every default filled in; those of training by gradient stay open for a probe.

    `skip` and `stages` are those of the plan; `source_name` is the name of the weights that it loads. Fine-tuning uses
    SGD; training from scratch uses Adam with the network's own rate, since SGD diverges on raw pixels.
    """
    weights = config.weights if Path(config.weights).is_file() else source_name
    if config.is_probe:
        return Settled(**{**vars(config), "weights": weights})
    from_scratch = not set(network.weighted_layers()) - set(skip)
    optimizer: Optimizer = config.optimizer or ("adam" if from_scratch else "sgd")
    rate = SGD_LEARNING_RATE if optimizer == "sgd" else network.adam_learning_rate
    augmented = any(getattr(config, name) is not None for name in AUGMENTATION)
    loaded_and_trained = tuple(name for name in network.weighted_layers() if name in set(stages[-1].layers) - set(skip))
    settled: dict[str, Any] = {
        "weights": weights,
        "skip": skip,
        "train": () if config.stages else loaded_and_trained,
        "epochs": None if config.stages else stages[-1].epochs,
        "optimizer": optimizer,
        "learning_rate": rate if config.learning_rate is None else config.learning_rate,
        "weight_decay": _first(config.weight_decay, ADAMW_DECAY if optimizer == "adamw" else 0.0),
        "val_fraction": _first(config.val_fraction, VAL_FRACTION),
        "views": _first(config.views, AUGMENTED_VIEWS if augmented else 1),
    }
    return Settled(**{**vars(config), **settled})


def _first(given: float | None, default: float) -> float:
    return default if given is None else given
