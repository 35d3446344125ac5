"""From a folder to a run directory and back to predictions."""

import csv
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune.classifier import load
from finetune.config import TrainConfig
from finetune.errors import RunError, UsageError, WeightsError
from finetune.evaluation.evaluate import evaluate
from finetune.model import load_model
from finetune.training.train import resume, train


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.mark.tensorflow
def test_the_run_directory(tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = image_folder(stripes=10, dots=10)
    (data / "dots" / "broken.jpg").write_bytes(b"not a image")
    (data / "dots" / "notes.txt").write_text("ignored")
    run = train(TrainConfig(data=data, out=tmp_path / "run", weights=str(tiny_weights), epochs=2))

    assert {path.name for path in run.path.iterdir()} >= {
        "config.json", "manifest.csv", "skipped.csv", "classes.txt", "history.csv", "metrics.json", "model.safetensors",
        "checkpoint", "report.html",
    }  # fmt: skip
    assert (run.path / "classes.txt").read_text() == "dots\nstripes\n"
    manifest = read_csv(run.path / "manifest.csv")
    assert len(manifest) == 20
    assert [row["split"] for row in manifest if row["label"] == "dots"].count("val") == 2
    (skipped,) = read_csv(run.path / "skipped.csv")
    assert skipped["path"].endswith("broken.jpg")
    history = read_csv(run.path / "history.csv")
    assert [row["epoch"] for row in history] == ["1", "2"]
    metrics = json.loads((run.path / "metrics.json").read_text())
    assert metrics["images"] == {"train": 16, "val": 4, "skipped": 1}
    assert metrics["val_accuracy"] == max(float(row["val_accuracy"]) for row in history)
    config = json.loads((run.path / "config.json").read_text())
    assert (config["skip"], config["source_weights"]["name"]) == (["fc8"], "tiny.safetensors")


@pytest.mark.tensorflow
def test_only_the_skipped_layer_changed(tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    config = TrainConfig(
        data=image_folder(stripes=6, dots=6), out=tmp_path / "run", weights=str(tiny_weights), epochs=1
    )
    before, after = load_model(tiny_weights).weights, load_model(train(config).model).weights
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["fc8/kernel", "fc8/bias"]


@pytest.mark.tensorflow
def test_the_accuracy_in_training_is_the_accuracy_in_use(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    """The share of validation images that predict gets right is the accuracy that training reported."""
    config = TrainConfig(
        data=image_folder(stripes=20, dots=20, waves=20),
        out=tmp_path / "run",
        weights="starter",
        epochs=5,
        val_fraction=0.5,
    )
    run = train(config)
    val = [row for row in read_csv(run.path / "manifest.csv") if row["split"] == "val"]
    predictions = list(load(str(run.path)).predict([Path(row["path"]) for row in val], top=1))
    right = sum(p.scores[0].label == row["label"] for p, row in zip(predictions, val, strict=True))
    accuracy = run.metrics()["val_accuracy"]
    assert accuracy > 0.5, "should beat the third that guessing gives"
    assert right / len(val) == pytest.approx(accuracy)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_metrics_of_a_run_are_those_of_the_model_in_use(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    """The frozen layers compute in bfloat16 to train on; the metrics are those that evaluate finds, in float32."""
    config = TrainConfig(
        data=image_folder(stripes=20, dots=20), out=tmp_path / "run", weights="starter", epochs=3, val_fraction=0.5,
        precision="bfloat16",
    )  # fmt: skip
    run = train(config)
    said = json.loads((run.path / "evaluation.json").read_text())
    found = evaluate(run.path)
    for name in ("temperature", "loss_before", "loss_after"):
        assert said[name] == pytest.approx(getattr(found, name), rel=2e-4), name
    assert run.metrics()["val_loss"] == pytest.approx(found.loss_before, rel=2e-4)
    assert run.metrics()["precision"] == "bfloat16"
    assert (
        "\nprecision: bfloat16 for the frozen layers' features to train on, "
        "float32 for everything else, validation included\n"
    ) in (run.path / "plan.txt").read_text()


@pytest.mark.tensorflow
def test_equal_runs_give_equal_files(tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = image_folder(stripes=8, dots=8)
    first, again = (
        train(TrainConfig(data=data, out=tmp_path / name, weights=str(tiny_weights), epochs=2, train=("fc7",)))
        for name in ("first", "again")
    )
    for name in ("model.safetensors", "history.csv", "metrics.json", "manifest.csv"):
        assert (first.path / name).read_bytes() == (again.path / name).read_bytes(), name


@pytest.mark.tensorflow
def test_an_image_that_breaks_only_when_decoded_is_skipped(
    tiny_weights: Path,
    image_folder: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    break_png: Callable[[Path], None],
) -> None:
    data = image_folder(stripes=6, dots=6)
    broken = data / "dots" / "2.png"
    break_png(broken)
    with caplog.at_level(logging.WARNING):
        run = train(TrainConfig(data=data, out=tmp_path / "run", weights=str(tiny_weights), epochs=1))
    assert (run.path / "skipped.csv").read_text() == f"path,reason\n{broken},the PNG data is damaged or cut short\n"
    assert f"skipped {broken}: the PNG data is damaged or cut short" in caplog.text
    assert "1 image cannot be read and is skipped" in caplog.text
    assert str(broken) not in (run.path / "manifest.csv").read_text()


def test_nothing_is_written_when_something_is_wrong(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    data = image_folder(stripes=3, dots=3)
    wrong: list[tuple[TrainConfig, type[Exception]]] = [
        (TrainConfig(data=tmp_path / "nowhere", out=out, weights=str(tiny_weights)), UsageError),
        (TrainConfig(data=data, out=out, weights=str(tmp_path / "nothing.npy")), WeightsError),
        (TrainConfig(data=data, out=data, weights=str(tiny_weights)), RunError),
    ]
    before = sorted(tmp_path.rglob("*"))
    for config, kind in wrong:
        with pytest.raises(kind):
            train(config)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.tensorflow
def test_dropout_changes_training_but_neither_cache_nor_description(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = TrainConfig(
        data=image_folder(stripes=8, dots=8), weights=str(tiny_weights), epochs=3, out=tmp_path / "own"
    )
    own = train(config)
    cached = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*.npy") if path.is_file()}
    assert cached
    half, none = (train(replace(config, out=tmp_path / str(rate), dropout=rate)) for rate in (0.5, 0.0))
    assert {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*.npy") if path.is_file()} == cached
    assert (own.config()["dropout"], half.config()["dropout"], none.config()["dropout"]) == (None, 0.5, 0.0)
    assert own.model.read_bytes() == half.model.read_bytes(), "the network's own rate is 0.5"
    assert load_model(none.model).network == load_model(own.model).network
    assert (none.path / "history.csv").read_bytes() != (own.path / "history.csv").read_bytes()


@pytest.mark.tensorflow
@pytest.mark.parametrize(("patience", "kept"), [(None, "last"), (4, "best")])
def test_which_epoch_is_kept(
    tiny_weights: Path,
    image_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    patience: int | None,
    kept: str,
) -> None:
    """The second of four epochs is made to look the best."""
    from finetune.training import head

    accuracies = iter([0.5, 0.75, 0.25, 0.5])
    evaluate = head.Head.evaluate
    monkeypatch.setattr(head.Head, "evaluate", lambda self, data: (evaluate(self, data)[0], next(accuracies)))
    data = image_folder(stripes=8, dots=8)
    run = train(
        TrainConfig(data=data, out=tmp_path / "run", weights=str(tiny_weights), epochs=4, ema=0.5, patience=patience)
    )
    metrics = run.metrics()
    expected = ("last", 4, 0.5) if kept == "last" else ("best", 2, 0.75)
    assert (metrics["kept"], metrics["best_epoch"], metrics["val_accuracy"]) == expected
    assert load_model(run.model).about["metrics"]["kept"] == kept
    assert json.loads((run.path / "evaluation.json").read_text())["kept"] == kept


@pytest.mark.tensorflow
def test_resume_ends_with_the_same_files(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is stopped after two epochs and resumed leaves the same files as one that never stopped."""
    from finetune.training import head

    data = image_folder(stripes=8, dots=8)
    config = TrainConfig(data=data, out=tmp_path / "whole", weights=str(tiny_weights), epochs=5)
    whole = train(config)
    evaluate = head.Head.evaluate
    evaluated = 0

    def stop_at_three(self: head.Head, data: head.LabelledRows) -> tuple[float, float]:
        nonlocal evaluated
        evaluated += 1
        if evaluated == 3:
            raise KeyboardInterrupt
        return evaluate(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(head.Head, "evaluate", stop_at_three)
        stopped = train(replace(config, out=tmp_path / "stopped"))
    assert stopped.metrics()["interrupted"]
    resume(stopped.path)
    for name in ("model.safetensors", "history.csv", "metrics.json", "manifest.csv"):
        assert (whole.path / name).read_bytes() == (stopped.path / name).read_bytes(), name


@pytest.mark.tensorflow
def test_resume_refuses_a_run_that_has_changed(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data = image_folder(stripes=4, dots=4)
    with pytest.raises(RunError, match=r"has no config\.json: expected a run that `finetune train` started"):
        resume(data)
    run = train(TrainConfig(data=data, out=tmp_path / "run", weights=str(tiny_weights), epochs=1))
    (data / "dots" / "0.png").unlink()
    with pytest.raises(RunError, match="the images have changed since the run started, so it cannot be resumed"):
        resume(run.path)


@pytest.mark.tensorflow
def test_groups_stay_together_in_the_run_and_whatever_continues_it(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Four folders per class, one of a single image; a resumed run and the manifest as data have the same split."""
    data = image_folder(stripes=10, dots=10)
    for path in sorted(data.rglob("*.png")):
        path = path.rename(path.with_name(f"day{int(path.stem) // 3}-{path.name}"))
        path.parent.joinpath(path.name[:4]).mkdir(exist_ok=True)
        path.rename(path.parent / path.name[:4] / path.name)
    config = TrainConfig(data=data, out=tmp_path / "run", weights=str(tiny_weights), epochs=1, group_by="parent")
    with caplog.at_level("INFO"):
        run = train(config)
    assert "groups: 8; in two splits: none" in caplog.text
    manifest = read_csv(run.path / "manifest.csv")
    splits = {(row["group"], row["split"]) for row in manifest}
    assert len(splits) == len({row["group"] for row in manifest}) == 8
    assert {row["group"] for row in manifest} == {str(path) for path in data.glob("*/day?")}
    before = (run.path / "manifest.csv").read_bytes()
    resume(run.path)
    assert (run.path / "manifest.csv").read_bytes() == before
    again = train(replace(config, data=run.path / "manifest.csv", out=tmp_path / "again", group_by=None))
    assert (again.path / "manifest.csv").read_bytes() == before
    assert evaluate(run.path).images == [row["split"] for row in manifest].count("val")


@pytest.mark.tensorflow
def test_a_copy_in_both_splits_is_reported_before_training(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same bytes in training and in validation: a warning, unless the check is off."""
    data = image_folder(stripes=3, dots=3)
    listed = data / "splits.csv"
    rows = [f"{path},{path.parent.name}" for path in sorted(data.rglob("*.png"))]
    listed.write_text("path,label,split\n" + "".join(f"{row},train\n{row},val\n" for row in rows))
    for name, check in (("reported", True), ("quiet", False)):
        caplog.clear()
        train(TrainConfig(data=listed, weights=str(tiny_weights), out=tmp_path / name, epochs=1, check=check))
        assert ("0.png = " in caplog.text) == check
