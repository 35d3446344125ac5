"""TrainConfig: which options are refused, and JSON and back."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.config import TrainConfig
from finetune.errors import UsageError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "--epochs must be 1 or more, not 0"),
        ({"batch_size": -3}, "--batch-size must be 1 or more, not -3"),
        ({"learning_rate": 0.0}, "--learning-rate must be a number above 0, not 0.0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be a number above 0, not nan"),
        ({"learning_rate": float("inf")}, "--learning-rate must be a number above 0, not inf"),
        ({"val_fraction": 1.0}, "--val-fraction must be above 0 and below 1, not 1.0"),
        ({"seed": -1}, "--seed must be a whole number from 0 to 2147483647, not -1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        TrainConfig(data=Path("images"), **options)
    assert str(error.value) == message


def test_json_and_back() -> None:
    config = TrainConfig(data=Path("images"), out=Path("run"), skip=("fc7", "fc8"), learning_rate=0.01)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_unknown_option_in_json() -> None:
    with pytest.raises(
        UsageError, match=r"unknown option 'epoch' \(did you mean epochs\?\); see finetune train --help"
    ):
        TrainConfig.from_json({"data": "images", "epoch": 3})
