"""One run in short, in each of its states, and what is reported of a damaged one."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.runs import finished, started

from finetune.data.dataset import Dataset, Record
from finetune.errors import RunError
from finetune.metrics import wilson_interval
from finetune.runs.overview import RunOverview, overview
from finetune.runs.run import Run

IMAGES = Dataset(tuple(Record(Path(f"{i}.png"), i % 2, "val", "") for i in range(10)), ("ants", "bees"))
CONFIG: dict[str, Any] = {"data": "my/photos", "train": ["fc7"], "skip": ["fc8"], "epochs": 3}


def test_a_finished_run(tmp_path: Path) -> None:
    path = finished(tmp_path / "run", CONFIG, IMAGES, correct=7, epochs=3).path
    os.utime(path / "metrics.json", (1_000_000_000, 1_000_000_000))
    found = overview(path)
    assert (found.name, found.data, found.trained, found.status, found.epochs) == (
        *("run", "photos", "fc7, fresh fc8"),
        *("finished", 3),
    )
    assert found.when.timestamp() == 1_000_000_000
    assert found.results == (10, 0.7, wilson_interval(7, 10), 0.5, 1.25, 0.0625)
    shown = json.loads(json.dumps(found.to_json()))
    assert (shown["accuracy"], shown["interval"]) == (0.7, list(wilson_interval(7, 10)))
    assert shown["config"] == CONFIG


def test_other_states(tmp_path: Path) -> None:
    """Interrupted, without its last files, and stopped before the first state."""
    run = finished(tmp_path / "run", CONFIG, IMAGES, epochs=2, interrupted=True)
    assert (overview(run.path).status, overview(run.path).epochs) == ("interrupted", 2)
    for name in ("evaluation.json", "metrics.json"):
        run = finished(tmp_path / name, CONFIG, IMAGES)
        (run.path / name).unlink()
        assert (overview(run.path).status, overview(run.path).results) == ("unfinished", None)
    with pytest.raises(RunError, match="killed"), Run(tmp_path / "new").locked(CONFIG):
        raise RunError("killed")
    assert overview(tmp_path / "new").status == "unfinished"
    assert overview(tmp_path / "new").config == CONFIG


def test_an_older_run_that_a_training_would_replace(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", CONFIG, IMAGES)
    (run.path / "pending.json").write_text("{}")
    assert overview(run.path).status == "finished"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"probe": "fc6"}, "probe on fc6"),
        ({"probe": "auto"}, "probe"),
        ({"skip": ["fc7", "fc8"], "train": []}, "fresh fc7, fresh fc8"),
        ({"skip": ["fc8"], "train": ["all"]}, "all, fresh fc8"),
        ({"skip": ["fc8"], "stages": "fc8:2,all:3"}, "stages fc8:2,all:3"),
        ({"skip": ["conv1"], "weights": "none"}, "from scratch"),
        ({"skip": "auto"}, "fresh auto"),  # of version 0.1
        ({}, ""),
    ],
)
def test_what_was_trained(config: dict[str, Any], words: str, tmp_path: Path) -> None:
    run = started(tmp_path / "run", {"data": "x", **config}, IMAGES)
    assert overview(run.path).trained == words


def test_data_without_a_name(tmp_path: Path) -> None:
    run = started(tmp_path / "run", {"data": "."}, IMAGES)
    assert overview(run.path).data == "."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", r"config\.json is not valid JSON \(.*\); start a new run"),
        ("config.json", "[]", r"config\.json is damaged: expected names with values"),
        ("config.json", None, r"has no config\.json: expected a run that `finetune train` started"),
        ("metrics.json", "", r"metrics\.json is not valid JSON"),
        ("evaluation.json", "3", r"evaluation\.json is damaged \(TypeError: "),
        ("evaluation.json", "{}", r"evaluation\.json is damaged \(KeyError: 'images'\); train again"),
        ("evaluation.json", '"top1": NaN', r"damaged \(ValueError: nan is not a finite number\); train again"),
        ("evaluation.json", '"top1": "all"', r"evaluation\.json is damaged \(TypeError: "),
        ("evaluation.json", '"top1": 5', r"evaluation\.json is damaged \(ValueError: "),
        ("evaluation.json", '"images": 0', r"evaluation\.json is damaged \(ZeroDivisionError: "),
    ],
)
def test_damaged_files(name: str, content: str | None, message: str, tmp_path: Path) -> None:
    file = finished(tmp_path / "run", CONFIG, IMAGES).path / name
    if content is None:
        file.unlink()
    else:  # a single value, or the whole file
        file.write_text(f"{file.read_text()[:-3]}, {content}}}" if content[:1] == '"' else content)
    with pytest.raises(RunError, match=message):
        overview(tmp_path / "run")


def test_any_values_can_be_shown(tmp_path: Path) -> None:
    """Options edited by hand are shown as they are."""
    for value in (5, [[1]], {"a": 1}, True, "x", None):
        options = dict.fromkeys(("data", "probe", "skip", "train", "stages", "weights"), value)
        found = RunOverview(tmp_path, "finished", datetime.now(), options)
        assert isinstance(found.data + found.trained, str)
