"""The command that repeats a run, and the versions it was made with."""

import shlex
import sys
from pathlib import Path

import numpy as np

from finetune.config import TrainConfig
from finetune.runs.provenance import option_words, repeat_command, versions


def test_the_command_repeats_the_run() -> None:
    config = TrainConfig(
        data=Path("my photos"), out=Path("run"), skip=("fc7", "fc8"), epochs=5, cache=False, overwrite=True, seed=3
    )
    line = repeat_command({**config.to_json(), "version": "1"})
    assert line == (
        "finetune train --data 'my photos' --skip fc7,fc8 --out run --epochs 5 --seed 3 --no-cache --overwrite"
    )
    assert shlex.split(line)[3] == "my photos"
    assert repeat_command({"data": "$(rm x)"}) == "finetune train --data '$(rm x)'"


def test_the_words_of_an_option() -> None:
    """Of values as config.json has them too."""
    assert option_words("layer_lr", ["conv=0.1", "fc6=0.5"]) == ["--layer-lr", "conv=0.1,fc6=0.5"]
    assert option_words("flip", False) == ["--no-flip"]
    assert option_words("flip", True) == ["--flip"]
    assert option_words("lighting", 0.1) == ["--lighting", "0.1"]


def test_versions() -> None:
    found = versions()
    assert found["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"finetune", "tensorflow", "keras", "system"} <= set(found)
