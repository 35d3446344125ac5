"""Plans made by hand, for the tests of training."""

from pathlib import Path
from typing import Any

from finetune.data.augment import LEVELS
from finetune.model import Model
from finetune.training.defaults import Settled
from finetune.training.plan import Plan, SourceWeights
from finetune.training.stage_spec import Stage


def settled(skip: tuple[str, ...] = ("fc8",), **options: Any) -> Settled:
    """Options with nothing left open: SGD on one view of each image, unless named."""
    defaults = {"optimizer": "sgd", "learning_rate": 0.001, "weight_decay": 0.0, "views": 1}
    return Settled(**{"data": Path("images"), "skip": skip, **defaults, **options})


def plan_of(model: Model, trained: tuple[str, ...], epochs: int = 3, **changes: Any) -> Plan:
    """A plan with the weights of a model; the `trained` layers count as fresh. `changes` are other fields of it."""
    fields: dict[str, Any] = {
        "config": settled(trained),
        "network": model.network,
        "weights": dict(model.weights),
        "source": SourceWeights("tiny", "ab" * 32),
        "trainable": (),
        "stages": (Stage(trained, epochs),),
        "precision": "float32",
        "augmentation": LEVELS["light"],
    }
    return Plan(**{**fields, **changes})
