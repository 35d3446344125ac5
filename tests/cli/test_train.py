"""`finetune train`: its options are those of TrainConfig, from the command line or from a file."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from finetune.choices import NETWORK_NAMES, WEIGHTS_NAMES
from finetune.config import TrainConfig
from finetune.option_rules import flag

Finetune = Callable[..., tuple[int, str, str]]


def test_every_option_is_in_the_help(finetune: Finetune) -> None:
    code, out, _ = finetune("train", "--help")
    assert code == 0
    options = [flag(option.name) for option in fields(TrainConfig)]
    assert not [option for option in (*options, "--config", "--resume", "--dry-run", "--find-lr") if option not in out]


@pytest.mark.tensorflow
def test_options_win_over_the_file(
    finetune: Finetune, tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data = image_folder(stripes=4, dots=4)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'data = "{data}"\nweights = "{tiny_weights}"\nepochs = 5\nseed = 3\nflip = true\nviews = 2\n'
        'lighting = "paper"\n'
    )
    given = ("--epochs", 1, "--no-flip", "--lighting", "0.05")
    code, out, _ = finetune("train", "--config", recipe, *given, "--out", tmp_path / "run")
    assert code == 0
    assert out.startswith("trained   fresh fc8; epoch 1 of 1, the last\naccuracy  ")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["epochs"], config["seed"], config["flip"], config["views"]) == (1, 3, False, 2)
    assert config["lighting"] == 0.05
    assert (tmp_path / "run" / "augmented.png").read_bytes().startswith(b"\x89PNG")

    # The run's own file repeats it, elsewhere.
    code, _, _ = finetune("train", "--config", tmp_path / "run" / "config.json", "--out", tmp_path / "again")
    assert code == 0
    for name in ("model.safetensors", "history.csv", "metrics.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


@pytest.mark.tensorflow
def test_stages_from_the_line(
    finetune: Finetune, tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """The cost of every stage is logged, the epochs are numbered across stages, and a resumed run has the same bits."""
    options = (
        "--data", image_folder(stripes=4, dots=4), "--weights", tiny_weights, "--out", tmp_path / "run",
        "--stages", "fc8:1,fc7-fc8:2,all:1",
    )  # fmt: skip
    code, _, err = finetune("train", *options)
    assert code == 0
    assert err.count("cost      ") == 3
    assert err.count("epoch    loss") == 1
    assert re.search(r"^    4 .*\d  kept$", err, re.MULTILINE)
    model = (tmp_path / "run" / "model.safetensors").read_bytes()
    (tmp_path / "run" / "model.safetensors").unlink()
    assert finetune("train", "--resume", tmp_path / "run")[0] == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == model


def test_the_help_names_networks_and_weights(finetune: Finetune) -> None:
    words = " ".join(finetune("train", "--help")[1].split())
    assert all(f"{name}," in words or f"{name}." in words for name in NETWORK_NAMES)
    assert f"({', '.join(WEIGHTS_NAMES)})" in words
    assert "sgd (with momentum 0.9), adam, or adamw" in words


def test_a_mistake_in_the_file_names_it(finetune: Finetune, tmp_path: Path) -> None:
    recipe = tmp_path / "bad.toml"
    recipe.write_text('skpi = "fc8"\n')
    assert finetune("train", "--config", recipe, "--data", "x") == (
        2,
        "",
        f"finetune: error: --config {recipe}: unknown option 'skpi' (did you mean skip?); see finetune train --help\n",
    )


@pytest.mark.tensorflow
def test_skipped_images_are_not_a_failure(
    finetune: Finetune, tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """So that `finetune train … && finetune predict …` continues; skipped.csv names them."""
    data = image_folder(stripes=4, dots=4)
    (data / "dots" / "broken.png").touch()
    run = tmp_path / "run"
    code, _, err = finetune("train", "--data", data, "--weights", tiny_weights, "--out", run, "--epochs", 1)
    assert code == 0
    assert "broken.png" in err
    assert "broken.png" in (run / "skipped.csv").read_text()


@pytest.mark.tensorflow
def test_dry_run_prints_the_plan_to_stdout(
    finetune: Finetune, tiny_weights: Path, image_folder: Callable[..., Path]
) -> None:
    options = ("--data", image_folder(stripes=2, dots=2), "--weights", tiny_weights, "--dry-run", "--skip", "fc8")
    code, out, _ = finetune("train", *options)
    assert code == 0
    assert "fc8    fresh    trained" in out
    assert "cost of fc8: 4 forward passes" in out


@pytest.mark.tensorflow
@pytest.mark.parametrize("options", [("--epochs", 1), ("--probe", "fc7")], ids=["by gradient", "probe"])
def test_dry_run_warns_of_all_that_a_run_warns_of(
    finetune: Finetune, tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path,
    break_png: Callable[[Path], None], options: tuple[object, ...],
) -> None:  # fmt: skip
    """A damaged header, undecodable pixels, copies in two classes, small classes, a class in two spellings."""
    data = image_folder(stripes=6, dots=7)
    shutil.copy(data / "dots" / "0.png", data / "stripes" / "copy.png")
    (data / "dots" / "1.png").write_bytes(b"words")
    (data / "dots ").mkdir()
    (data / "dots" / "2.png").rename(data / "dots " / "2.png")
    break_png(data / "dots" / "3.png")
    common = ("--data", data, "--weights", tiny_weights, *options)
    dry, run = (finetune("train", *common, *more) for more in (("--dry-run",), ("--out", tmp_path / "run")))
    assert dry[0] == run[0] == 0
    found = [[line for line in err.splitlines() if line.startswith("warning: ")] for err in (dry[2], run[2])]
    assert found[0] == found[1]
    assert len(found[0]) >= 6
    assert "skipped" not in "".join(found[0]).partition("2 images cannot be read")[0]  # in one list
    for part in ("class dots is one class", "identical in different classes", "1.png", "3.png"):
        assert part in dry[2]


@pytest.mark.tensorflow
def test_without_options_a_probe_is_fitted_and_an_option_of_the_gradient_says_what_it_does(
    finetune: Finetune, tiny_weights: Path, image_folder: Callable[..., Path]
) -> None:
    options = ("--data", image_folder(stripes=6, dots=6), "--weights", tiny_weights, "--dry-run")
    code, out, err = finetune("train", *options)
    assert code == 0
    assert "fc8    fresh    fitted" in out
    line = (
        "--epochs is for training by gradient, so fc8 starts fresh and is trained, as with --skip; without it, a "
        "linear probe is fitted\n"
    )
    assert line not in err
    code, out, err = finetune("train", *options, "--patience", "2", "--epochs", "3")
    assert code == 0
    assert "fc8    fresh    trained" in out
    assert err.count(line) == 1
    for more in (("--skip", "fc8"), ("--train", "fc7"), ("--weights", "none", "--network", "alexnet-mnist")):
        code, _, err = finetune("train", *options, "--epochs", "3", *more)
        assert code == 0, err
        assert "by gradient" not in err


@pytest.mark.tensorflow
def test_a_probe(finetune: Finetune, tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    data, run = image_folder(stripes=6, dots=6), tmp_path / "run"
    options = ("--data", data, "--weights", tiny_weights, "--probe", "pool5")
    code, out, _ = finetune("train", *options, "--dry-run")
    assert code == 0
    assert "fc8    fresh    fitted" in out
    assert not run.exists()
    code, out, _ = finetune("train", *options, "--out", run)
    assert code == 0
    trained, accuracy, images, model, *_ = out.splitlines()
    assert trained == "trained   probe on pool5"
    assert re.fullmatch(r"accuracy  [\d.]+ % \(95 % interval: [\d.]+ % to [\d.]+ %\)", accuracy)
    assert images == "          of 12 training images, held out in turn"
    assert model == f"model     {run / 'model.safetensors'}"
    assert "linear probe" in (run / "report.html").read_text()
    code, _, err = finetune("evaluate", run)
    assert code == 1
    assert err == (
        f"finetune: error: {run} has no validation images: its accuracy is that of training images, each held out "
        "once, as in report.html; give other images with --data, or evaluate those it was fitted on with --split "
        "train\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--data", "x", "--probe", "auto", "--find-lr"),
            "--find-lr tries learning rates, and a linear probe has none; omit --probe or --find-lr",
        ),
        (
            ("--data", "x", "--probe", "auto", "--epochs", "3"),
            "--probe and --epochs cannot both be given: a probe needs no gradient; omit one",
        ),
        (("--dry-run", "--find-lr", "--data", "x"), "--dry-run and --find-lr cannot both be given"),
        (("--resume", "run", "--seed", "3"), "--resume takes no other option, but --seed was given"),
        (("--epochs", "3"), "--data is missing: name a folder with one folder of images per class"),
        (
            ("--data", "x", "--stages", "fc8:1", "--epochs", "3"),
            "--stages and --epochs cannot both be given: each stage has its own epochs",
        ),
        (
            ("--data", "x", "--views", "1", "--flip"),
            "augmentation needs more than one view: give --views 0, or 2 or more, or omit --views",
        ),
        (("--data", "x", "--label-smoothing", "1"), "--label-smoothing must be 0 or more and below 1, not 1.0"),
        (("--data", "x", "--config", "no.toml"), "--config no.toml cannot be opened (No such file or directory)"),
        (("--dta", "x"), "there is no option '--dta' (did you mean --data?) (finetune train --help lists the options)"),
    ],
)
def test_wrong_usage(finetune: Finetune, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = finetune("train", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"finetune: error: {message}")
    assert len(err.splitlines()) == 1


def test_results_are_on_stdout_while_ray_is_connected(
    finetune: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own messages are not."""

    def start(*_: object) -> Iterator[Any]:
        with redirect_stdout(sys.stderr):  # as `connected` does
            print("from Ray")
            yield SimpleNamespace(metrics=lambda: {"interrupted": False})

    monkeypatch.setattr("finetune.training.train.start", start)
    monkeypatch.setattr("finetune.cli.train._results", lambda _: "trained")
    assert finetune("train", "--data", tmp_path, "--engine", "ray") == (0, "trained\n", "from Ray\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--workers is for training by gradient, as with --skip, --train or --stages; omit it for a probe"),
        (["--skip=fc8", "--batch-size=2"], "--workers 3: expected at most 2, the images of a batch"),
        (["--skip=fc8", "--dry-run"], "--dry-run and --find-lr compute in one process; omit --engine and --workers"),
        (["--skip=fc8", "--find-lr"], "--dry-run and --find-lr compute in one process; omit --engine and --workers"),
    ],
)
def test_workers_that_cannot_be(
    finetune: Finetune,
    tiny_weights: Path,
    image_folder: Callable[..., Path],
    tmp_path: Path,
    options: list[str],
    message: str,
) -> None:
    data, out = image_folder(stripes=4, dots=4), tmp_path / "run"
    code, _, said = finetune("train", "--data", data, "--weights", tiny_weights, "--out", out, "--workers=3", *options)
    assert (code, said.splitlines()[-1]) == (2, f"finetune: error: {message}")
    assert not out.exists()
