"""How a plan settles the options: what is given wins; `tests/test_defaults.py` has all defaults in one table."""

from pathlib import Path
from typing import Any

import pytest

from finetune.config import TrainConfig
from finetune.networks import build
from finetune.training.defaults import Settled, settle
from finetune.training.stage_spec import Stage

NETWORK = build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 4})


def settled(skip: tuple[str, ...] = ("fc8",), network: Any = NETWORK, **options: Any) -> Settled:
    config = TrainConfig(data=Path("images"), skip=skip, **options)
    return settle(config, network, "starter", skip, (Stage(skip, options.get("epochs", 30)),))


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"learning_rate": 0.5}, "learning_rate", 0.5),
        ({"optimizer": "adam", "learning_rate": 0.5}, "learning_rate", 0.5),
        ({"optimizer": "adamw", "weight_decay": 0.0}, "weight_decay", 0.0),
        ({"augmentation": "light", "views": 0}, "views", 0),
        ({"epochs": 7}, "epochs", 7),
        ({}, "weights", "starter"),
        ({"weights": "auto"}, "weights", "starter"),
        ({}, "precision", "auto"),
    ],
)
def test_an_option_that_is_given_wins(options: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(settled(**options), field) == value


def test_a_network_may_have_its_own_rate() -> None:
    digits = build("alexnet-mnist")
    assert settled(tuple(digits.weighted_layers()), digits).learning_rate == 0.001


def test_a_file_keeps_its_path(tmp_path: Path) -> None:
    (tmp_path / "w.npy").touch()
    assert settled(weights=str(tmp_path / "w.npy")).weights == str(tmp_path / "w.npy")


def test_stages_settle_epochs_and_layers_themselves() -> None:
    config = TrainConfig(data=Path("images"), stages="fc8:2,fc7-fc8:3")
    stages = (Stage(("fc8",), 2), Stage(("fc7", "fc8"), 3))
    found = settle(config, NETWORK, "starter", ("fc8",), stages)
    assert (found.epochs, found.train, found.stages) == (None, (), "fc8:2,fc7-fc8:3")
    without = settle(TrainConfig(data=Path("images"), train=("fc7",)), NETWORK, "starter", ("fc8",), stages[1:])
    assert (without.epochs, without.train) == (3, ("fc7",))
