"""`finetune runs`: the table in terminals of any width, the comparison, and folders named like a command."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.runs import finished, started

from finetune.config import TrainConfig
from finetune.data.dataset import Dataset, Record
from finetune.runs.run import RUNS

Finetune = Callable[..., tuple[int, str, str]]
Terminal = Callable[[int], None]

CLASSES = ("ants", "bees")
IMAGES = Dataset(tuple(Record(Path(f"{i}.png"), 0, "val", "") for i in range(10)), CLASSES)
NOON = datetime(2026, 3, 1, 12).timestamp()
PROBE = TrainConfig(data=Path("/photos/insects"), probe="fc6")
FC8 = TrainConfig(data=PROBE.data, skip=("fc8",), epochs=5, optimizer="sgd", learning_rate=0.001, views=1)
STAGED = TrainConfig(data=PROBE.data, skip=("fc8",), stages="fc8:2,fc7-fc8:3,fc6-fc8:4", group_by="(" + "x" * 99 + ")")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four runs: a probe, fc8 by gradient, interrupted stages with a long name, and a damaged one."""
    made: list[tuple[str, TrainConfig, dict[str, Any]]] = [
        ("probe", PROBE, {}),
        ("2026-03-01_120100", FC8, {"epochs": 5}),
        ("stages" + "-and-more" * 5 + "-3", STAGED, {"epochs": 2, "interrupted": True}),
        ("damaged", FC8, {}),
    ]
    for number, (name, config, metrics) in enumerate(made):
        path = finished(tmp_path / "all" / name, config.to_json(), IMAGES, correct=6 + number, **metrics).path
        os.utime(path / "metrics.json", (NOON + 60 * number, NOON + 60 * number))
    (tmp_path / "all" / "damaged" / "evaluation.json").write_text("{")
    return tmp_path / "all"


def test_the_table(folder: Path, finetune: Finetune, terminal: Terminal) -> None:
    """The intervals are those of scipy.stats.binomtest(…).proportion_ci(method="wilson")."""
    terminal(80)
    code, out, err = finetune("runs", folder)
    assert (code, err) == (0, "")
    assert out.splitlines()[:7] == [
        "run                   when              data     trained        accuracy in %",
        "probe                 2026-03-01 12:00  insects  probe on fc6   60.0 (31.3–83.2)",
        "2026-03-01_120100     2026-03-01 12:01  insects  fresh fc8      70.0 (39.7–89.2)",
        "    --skip fc8, --epochs 5, --optimizer sgd, --learning-rate 0.001, --views 1",
        "stages-and…nd-more-3  2026-03-01 12:02  insects  stages…-fc8:4  80.0 (49.0–94.3)",
        "    interrupted after epoch 2, --stages fc8:2,fc7-fc8:3,fc6-fc8:4 and 5 more",
        "damaged               2026-03-01 12:03                          damaged",
    ]
    problem = f"{folder / 'damaged' / 'evaluation.json'} is not valid JSON (Expecting property name"
    shown = "".join("".join(out.splitlines()[7:]).split())  # a long path breaks anywhere
    assert shown.startswith("".join(problem.split()))


@pytest.mark.parametrize("width", [60, 72, 80, 100, 140, 200])
def test_it_fits_the_terminal(width: int, folder: Path, finetune: Finetune, terminal: Terminal) -> None:
    """No accuracy is shortened, and nothing is wrapped by the terminal."""
    terminal(width)
    for command in (("runs", folder), ("runs", "compare", folder / "probe", next(folder.glob("stages*")))):
        lines = finetune(*command)[1].splitlines()
        assert max(map(len, lines)) <= width
        assert len(re.findall(r"\d\d\.\d \(\d\d\.\d–\d\d\.\d\)", "\n".join(lines))) == 3 - (len(command) > 2)
        assert (" 12:0" in lines[1]) == (width >= 80 and len(command) == 2)


def test_what_is_piped_is_not_shortened(folder: Path, finetune: Finetune) -> None:
    out = finetune("runs", folder)[1]
    assert "stages" + "-and-more" * 5 + "-3" in out
    assert "evaluation.json is not valid JSON" in out


def test_list_as_json(folder: Path, finetune: Finetune) -> None:
    (line,) = finetune("runs", "--json", folder)[1].splitlines()
    runs = json.loads(line)["runs"]
    assert [run["status"] for run in runs] == ["finished", "finished", "interrupted", "damaged"]
    assert runs[1]["changed"] == {
        "skip": ["fc8"], "epochs": 5, "optimizer": "sgd", "learning_rate": 0.001, "views": 1,
    }  # fmt: skip
    assert datetime.fromisoformat(runs[0]["when"]).timestamp() == NOON
    assert runs[2]["config"]["group_by"] == STAGED.group_by


def test_the_folder_by_default_is_that_of_train(
    folder: Path, finetune: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = finetune("runs")
    assert (code, out) == (1, "")
    assert err.startswith("finetune: error: expected a folder of runs, but runs is not a folder; ")
    folder.rename(RUNS)
    assert finetune("runs")[1] == finetune("runs", "list", "runs")[1] == finetune("runs", RUNS)[1]


def test_a_folder_named_like_a_command(folder: Path, finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    folder.rename("compare")
    code, out, err = finetune("runs", "compare")
    assert (code, out) == (2, "")
    assert "Missing argument 'A'" in err
    assert finetune("runs", "./compare")[1] == finetune("runs", "list", "compare")[1] != ""


def test_help_is_that_of_the_group(finetune: Finetune) -> None:
    for flag in ("--help", "-h"):
        out = finetune("runs", flag)[1]
        assert "  list " in out
        assert "  compare " in out
    assert "there is no option '--jsn' (did you mean --json?)" in finetune("runs", "--jsn")[2]


def test_no_runs(finetune: Finetune, tmp_path: Path) -> None:
    code, out, err = finetune("runs", tmp_path)
    assert (code, out) == (0, "")
    assert (
        err == f"warning: {tmp_path} has no runs; make one with finetune train --data DIR --out {tmp_path / 'NAME'}\n"
    )
    assert finetune("runs", tmp_path, "--json") == (0, '{"runs": []}\n', "")


def test_an_option_that_is_no_longer_given(finetune: Finetune, tmp_path: Path) -> None:
    """It is shown with `without`, and one that is off with `--no-`."""
    options: list[dict[str, Any]] = [
        {"patience": 3, "layer_lr": ["0.5"], "ema": 0.9, "cache": True, "data_sha256": "a"},
        {"patience": None, "layer_lr": [], "ema": 0.0, "cache": False, "data_sha256": "b"},
    ]
    for number, config in enumerate(options):
        path = finished(tmp_path / str(number), {"data": "x", **config}, IMAGES).path
        os.utime(path / "metrics.json", (number, number))
    last = finetune("runs", tmp_path)[1].splitlines()[-1]
    assert last == "    other images or splits, without --patience, without --layer-lr, without --ema, --no-cache"


def test_names_cannot_control_the_terminal(finetune: Finetune, tmp_path: Path) -> None:
    for number, data in enumerate(("x", "a\x1b[2Jb\nc")):
        path = finished(tmp_path / f"{number}\n\x1b[2J", {"data": data}, IMAGES).path
        os.utime(path / "metrics.json", (number, number))
    out = finetune("runs", tmp_path)[1]
    assert "\x1b" not in out
    assert len(out.splitlines()) == 4
    assert "\x1b" not in finetune("runs", "compare", *tmp_path.iterdir())[1]


def test_compare(folder: Path, finetune: Finetune, terminal: Terminal) -> None:
    terminal(80)
    code, out, err = finetune("runs", "compare", folder / "probe", folder / "2026-03-01_120100")
    assert (code, err) == (0, "")
    assert [line.rstrip() for line in out.splitlines()] == [
        "                        probe             2026-03-01_120100",
        "trained                 probe on fc6      fresh fc8",
        "--probe                 fc6               -",
        "--skip                  -                 fc8",
        "--epochs                -                 5",
        "--optimizer             -                 sgd",
        "--learning-rate         -                 0.001",
        "--views                 -                 1",
        "images                  10                10",
        "accuracy in %           60.0 (31.3–83.2)  70.0 (39.7–89.2)",
        "loss                    0.500             0.500",
        "temperature             1.250             1.250",
        "calibration error in %  6.2               6.2",
    ]


def test_compare_on_different_images(finetune: Finetune, tmp_path: Path, terminal: Terminal) -> None:
    terminal(80)
    first = finished(tmp_path / "a", {"data": "x", "flip": True}, IMAGES).path
    second = finished(tmp_path / "b", {"data": "x", "flip": False}, Dataset(IMAGES.records[:4], CLASSES)).path
    out = finetune("runs", "compare", first, second)[1]
    assert "\n--flip                  yes             no" in out
    assert " ".join(out.partition("\n\n")[2].split()) == (
        "The two runs were measured on different images (10 and 4, of which 4 are in both), so their results cannot "
        "be compared. To compare them, evaluate both on images that neither was trained on: finetune evaluate RUN "
        "--data DIR"
    )
    assert json.loads(finetune("runs", "compare", first, second, "--json")[1])["same_images"] is False


def test_compare_with_an_unfinished_run(finetune: Finetune, tmp_path: Path) -> None:
    first, second = finished(tmp_path / "a", {}, IMAGES).path, started(tmp_path / "b", {}, IMAGES).path
    lines = [line.split() for line in finetune("runs", "compare", first, second)[1].splitlines()]
    assert ["status", "finished", "unfinished"] in lines
    assert ["loss", "0.500", "-"] in lines
    assert "different images" not in finetune("runs", "compare", first, second)[1]


def test_tensorflow_is_not_imported(folder: Path) -> None:
    code = "import sys; from finetune.cli.app import main\ntry: main()\nfinally: assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "runs", str(folder)], check=True, capture_output=True)
