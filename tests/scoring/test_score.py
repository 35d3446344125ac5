"""`score`: the format that the name stands for, and what a resumed run must have in common with the stopped one."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest

from finetune import __version__
from finetune.errors import DataError, RunError, UsageError
from finetune.model import Model, save_model
from finetune.prediction import Prediction
from finetune.scoring.rows import ScoreRow
from finetune.scoring.score import _write, score
from finetune.scoring.score_options import ScoreOptions


@pytest.fixture(autouse=True)
def _state_after_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.scoring.resumable_output.SECONDS_BETWEEN_STATES", 0)


@pytest.fixture
def data(image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five images, of which the second cannot be read; the current folder is the one above."""
    folder = image_folder(dots=3, stripes=2)
    (folder / "dots" / "1.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return folder


def stopped(data: Path, weights: str, options: ScoreOptions) -> None:
    """Leave a run that --strict stopped at the second image."""
    with pytest.raises(DataError, match=r"^--strict: images/dots/1\.png: the file is empty; fix it and continue"):
        score(["images"], Path("rows.csv"), options, weights, strict=True)
    assert not Path("rows.csv").exists()


class Output:
    """What is written of each batch; the batch number `full` is refused."""

    def __init__(self, full: int | None = None) -> None:
        self.batches: list[list[ScoreRow]] = []
        self.full = full

    def write(self, rows: list[ScoreRow]) -> None:
        if len(self.batches) == self.full:
            raise RunError("the disk is full")
        self.batches.append(rows)


def test_batches_are_written_in_order_and_the_last_one_too() -> None:
    rows = [Prediction(str(number)) for number in range(7)]
    output = Output()
    _write(iter(rows), output, 3, False)  # type: ignore[arg-type]
    assert output.batches == [rows[:3], rows[3:6], rows[6:]]


@pytest.mark.parametrize("full", [0, 2])
def test_a_batch_that_cannot_be_written_ends_the_work(full: int) -> None:
    rows = [Prediction(str(number)) for number in range(7)]
    output = Output(full)
    with pytest.raises(RunError, match="the disk is full"):
        _write(iter(rows), output, 3, False)  # type: ignore[arg-type]
    assert len(output.batches) == full


def test_what_is_before_an_unread_image_is_written() -> None:
    rows = [Prediction("0"), Prediction("1"), Prediction("2", error="it is empty")]
    output = Output()
    with pytest.raises(DataError, match=r"^--strict: 2: it is empty; .* --resume, or omit --strict$"):
        _write(iter(rows), output, 2, True)  # type: ignore[arg-type]
    assert output.batches == [rows[:2]]


@pytest.mark.tensorflow
def test_counts(data: Path, tiny_weights: Path) -> None:
    counts = score(["images"], Path("rows.csv"), ScoreOptions(), str(tiny_weights))
    assert (counts.rows, counts.unreadable) == (5, 1)
    counts = score(["images/stripes"], Path("more.csv"), ScoreOptions(), str(tiny_weights), strict=True)
    assert (counts.rows, counts.unreadable) == (2, 0)


@pytest.mark.tensorflow
def test_few_images_are_computed_as_many_are(data: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TensorFlow: otherwise, the last images of a resumed run would get other bits."""
    monkeypatch.setattr("finetune.classifier.Classifier._compute_with_numpy", lambda *_: pytest.fail("by NumPy"))
    assert score(["images/stripes"], Path("rows.csv"), ScoreOptions(), str(tiny_weights)).rows == 2


@pytest.mark.tensorflow
def test_state_has_the_options_and_the_model(data: Path, tiny_weights: Path) -> None:
    stopped(data, str(tiny_weights), ScoreOptions(top=2, batch_size=1))
    state = json.loads(Path("rows.csv.partial/state.json").read_text())
    assert (state["rows"], state["unread"], state["finished"]) == (1, {}, False)
    assert len(state["about"].pop("model")) == 64
    assert state["about"] == {
        "version": __version__,
        "top": 2,
        "probabilities": False,
        "features": [],
        "pool": "none",
        "dtype": "float32",
        "ten_crop": False,
        "abstain_below": 0.0,
        "batch_size": 1,
    }


@pytest.mark.tensorflow
def test_resuming_needs_the_same_model_wherever_its_file_is(data: Path, tiny_model: Model) -> None:
    save_model(Path("a.safetensors"), tiny_model)
    options = ScoreOptions(batch_size=1)
    stopped(data, "a.safetensors", options)
    bias = np.float32([0, 0, 1e-6])
    for other in (
        replace(tiny_model, about={"temperature": 2.0}),
        replace(tiny_model, class_names=("red", "green", "yellow")),
        replace(tiny_model, weights={**tiny_model.weights, "fc8/bias": bias}),
        replace(tiny_model, network=replace(tiny_model.network, preprocessing=warped(tiny_model))),
    ):
        save_model(Path("b.safetensors"), other)
        with pytest.raises(RunError, match="was started with another --model; use the same"):
            score(["images"], Path("rows.csv"), options, "b.safetensors", resume=True)
    Path("a.safetensors").rename("c.safetensors")
    assert score(["images"], Path("rows.csv"), options, "c.safetensors", resume=True).unreadable == 1


def warped(model: Model):
    return replace(model.network.preprocessing, resize="warp")


@pytest.mark.tensorflow
def test_progress_counts_the_remaining_images(data: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    totals: list[int | None] = []

    def track(rows: Iterator[ScoreRow], total: int | None, *_: str) -> Iterator[ScoreRow]:
        totals.append(total)
        return rows

    monkeypatch.setattr("finetune.scoring.score.track", track)
    options = ScoreOptions(batch_size=1)
    stopped(data, str(tiny_weights), options)  # after one row
    score(["images"], Path("rows.csv"), options, str(tiny_weights), resume=True)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"images/dots/0.png\n")))
    score(["-"], Path("stdin.csv"), options, str(tiny_weights))
    assert totals == [5, 4, None]


@pytest.mark.tensorflow
def test_an_interrupted_run_says_how_to_continue(
    data: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetune.scoring.resumable_output import ResumableOutput

    write = ResumableOutput.write

    def interrupted(self: ResumableOutput, rows: list) -> None:
        if self.rows == 4:
            raise KeyboardInterrupt
        write(self, rows)

    monkeypatch.setattr(ResumableOutput, "write", interrupted)
    options = ScoreOptions(batch_size=2)
    with pytest.raises(RunError, match="interrupted after 4 rows; add --resume to the same command to continue"):
        score(["images"], Path("rows.csv"), options, str(tiny_weights))
    monkeypatch.undo()
    monkeypatch.chdir(data.parent)
    assert score(["images"], Path("rows.csv"), options, str(tiny_weights), resume=True).unreadable == 1


def test_an_address_needs_ray(data: Path, tiny_weights: Path) -> None:
    with pytest.raises(UsageError, match="--address is only for --engine ray; omit it"):
        score(["images"], Path("x.csv"), ScoreOptions(), str(tiny_weights), address="127.0.0.1:6379")
