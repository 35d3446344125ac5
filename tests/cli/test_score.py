"""`finetune score`: one file with a row for every input, whatever stops it."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from finetune import __version__
from finetune.classifier import load
from finetune.cli.score import score
from finetune.data.inputs import expand
from finetune.errors import DataError, InterruptionError, RunError, UsageError
from finetune.model import Model
from finetune.scoring.resumable_output import ResumableOutput

app = typer.Typer()
app.command()(score)


@pytest.fixture
def data(image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven images, the third of them unreadable; the current folder is the one above."""
    folder = image_folder(stripes=4, dots=3)
    (folder / "dots" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def run(tiny_weights: Path, data: Path) -> Callable[..., Result]:
    """Return a function that runs the command and raises what it raises."""

    def invoke(*arguments: object) -> Result:
        every = [*map(str, arguments), "--model", str(tiny_weights)]
        return CliRunner().invoke(app, every, catch_exceptions=False)

    return invoke


def rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.mark.tensorflow
def test_rows_are_those_of_predict(run: Callable[..., Result], tiny_weights: Path) -> None:
    done = run("images", "--out", "rows.jsonl")
    assert (done.exit_code, done.stdout) == (3, "rows.jsonl: 7 rows, 1 of them not read\n")
    predictions = load(tiny_weights, many=True).predict(expand(["images"]))
    assert rows("rows.jsonl") == [prediction.to_json() for prediction in predictions]
    assert [str(path) for path in Path().glob("*rows*")] == ["rows.jsonl"]


@pytest.mark.tensorflow
def test_what_was_not_read_is_counted_across_a_stop(
    run: Callable[..., Result], data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The file with a reason is in the first of four batches, the other one in the last."""
    (data / "stripes" / "3.png").write_bytes(b"")
    write = ResumableOutput.write

    def interrupted(output: ResumableOutput, rows: Any) -> None:
        if output.rows == 4:
            raise KeyboardInterrupt
        write(output, rows)

    arguments = ("images", "--out", "fc7.npy", "--features", "fc7", "--batch-size", 2)
    with monkeypatch.context() as patch:
        patch.setattr("finetune.scoring.resumable_output.SECONDS_BETWEEN_STATES", 0)
        patch.setattr(ResumableOutput, "write", interrupted)
        with pytest.raises(InterruptionError, match="interrupted after 4 rows"):
            run(*arguments)
    done = run(*arguments, "--resume")
    assert (done.exit_code, done.stdout) == (3, "fc7.npy: 7 rows, 2 of them not read\n")
    assert caplog.messages[-1] == (
        "2 of 7 not read: 1 × the PNG is cut short (no IEND chunk), 1 × the file is empty; each with its reason in "
        "fc7.npy.csv"
    )


@pytest.mark.tensorflow
def test_nothing_unreadable_is_exit_code_0(run: Callable[..., Result]) -> None:
    assert run("images/stripes", "--out", "rows.jsonl").exit_code == 0


@pytest.mark.tensorflow
def test_every_format_and_option(run: Callable[..., Result], tiny_weights: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    assert run("images", "--out", "rows.csv", "--top", 1, "--probabilities", "--abstain-below", 0.99).exit_code == 3
    with Path("rows.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["path"] for line in lines] == [row["path"] for row in map(dict, lines)]
    assert sum(float(lines[0][f"p:{name}"]) for name in ("red", "green", "blue")) == pytest.approx(1)
    assert lines[0]["abstained"] == "true"
    assert lines[2]["error"]
    assert run("images", "--out", "rows.parquet", "--ten-crop").exit_code == 3
    assert pq.read_table("rows.parquet").num_rows == 7
    assert run("images", "--out", "fc7.npy", "--features", "fc7").exit_code == 3
    expected = list(load(tiny_weights, many=True).features(sorted(Path("images").rglob("*.png")), "fc7"))
    found = np.load("fc7.npy")
    assert np.isnan(found[2]).all()
    for row, features in zip(np.delete(found, 2, 0), (f for f in expected if f.values is not None), strict=True):
        np.testing.assert_array_equal(row, features.values)
    with Path("fc7.npy.csv").open(newline="") as file:
        assert [line["path"] for line in csv.DictReader(file)] == [str(features.path) for features in expected]
    assert run("images", "--out", "conv5.parquet", "--features", "conv5", "--pool", "mean").exit_code == 3
    assert len(pq.read_table("conv5.parquet")["features"][0].as_py()) == 256


@pytest.mark.tensorflow
def test_several_layers(run: Callable[..., Result], tiny_weights: Path) -> None:
    """In one pass, in the order of the CSV, whose other columns come along."""
    paths = sorted(Path("images").rglob("*.png"), reverse=True)
    lines = [f"{path},{number}" for number, path in enumerate(paths)]
    Path("stimuli.csv").write_text("\n".join(["path,onset", *lines]))
    arguments = ("stimuli.csv", "--features", "Conv1,fc7:linear", "--features", "fc7,conv1", "--pool", "mean")
    assert run(*arguments, "--out", "acts.h5").exit_code == 3
    classifier = load(tiny_weights, many=True)
    expected = list(classifier.features(paths, ["conv1", "fc7:linear", "fc7"], pool="mean"))
    with h5py.File("acts.h5") as file:
        assert list(file) == ["columns", "conv1", "error", "fc7", "fc7:linear", "path"]
        assert file["columns/onset"][:].tolist() == [b"%d" % number for number in range(7)]
        assert file["path"][:].tolist() == [str(path).encode() for path in paths]
        assert dict(file.attrs) | {"model_sha256": None} == {
            "network": "alexnet",
            "model_sha256": None,
            "finetune": __version__,
            "pool": "mean",
        }
        for position, features in enumerate(expected):
            assert file["error"][position].decode() == (features.error or "")
            for layer in ("conv1", "fc7:linear", "fc7"):
                row = np.nan if features.values is None else features.values[layer]
                np.testing.assert_array_equal(file[layer][position], np.broadcast_to(row, file[layer].shape[1:]))


@pytest.mark.tensorflow
def test_every_layer(run: Callable[..., Result], tiny_model: Model) -> None:
    assert run("images", "--features", "all", "--dtype", "float16", "--out", "acts.npy").exit_code == 3
    names = [layer.name for layer in tiny_model.network.layers]
    assert sorted(path.name for path in Path().glob("acts*")) == sorted(
        ["acts.npy.csv", *(f"acts.{name}.npy" for name in names)]
    )
    assert np.load("acts.conv5.npy").dtype == np.float16


@pytest.mark.tensorflow
def test_strict_stops_and_can_be_resumed(run: Callable[..., Result]) -> None:
    arguments = ("images", "--out", "rows.jsonl", "--batch-size", 2)
    with pytest.raises(
        DataError, match=r"^--strict: images/dots/2\.png: the PNG .*; fix it and continue with --resume"
    ):
        run(*arguments, "--strict")
    assert not Path("rows.jsonl").exists()
    assert run(*arguments, "--resume").exit_code == 3
    assert len(rows("rows.jsonl")) == 7


@pytest.mark.tensorflow
def test_existing_output_is_not_lost(run: Callable[..., Result]) -> None:
    Path("rows.jsonl").write_text("precious")
    with pytest.raises(RunError, match=r"rows\.jsonl exists; choose another --out, or --overwrite"):
        run("images", "--out", "rows.jsonl")
    for wrong in (["nowhere/*.png"], ["images", "--features", "fc9"], ["images", "--resume"]):
        with pytest.raises((DataError, UsageError)):
            run(*wrong, "--out", "rows.jsonl", "--overwrite")
    assert Path("rows.jsonl").read_text() == "precious"
    assert run("images", "--out", "rows.jsonl", "--overwrite").exit_code == 3
    assert len(rows("rows.jsonl")) == 7


@pytest.mark.tensorflow
def test_interrupted(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Iterator[object]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("finetune.scoring.score.compute_rows", interrupted)
    with pytest.raises(RunError, match="interrupted after 0 rows; add --resume to the same command to continue"):
        run("images", "--out", "rows.jsonl")


KILLED = """
import os, signal
from finetune.cli import app as cli
from finetune.scoring import resumable_output as output

output.SECONDS_BETWEEN_STATES = 0
write = output.ResumableOutput.write

def write_then_die(self, rows):
    write(self, rows)
    if self.rows >= AFTER:
        self._parts[-1].write(b"half a row")
        self._parts[-1].flush()
        os.kill(os.getpid(), signal.SIGKILL)

output.ResumableOutput.write = write_then_die
cli.main()
"""


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "endings"), [("fc7", ("npy", "npy.csv")), ("all", ("h5",)), ("pool1,fc7", ("mat",))]
)
def test_killed_twice(
    layers: str, endings: Sequence[str], run: Callable[..., Result], data: Path, tiny_weights: Path
) -> None:
    """What is finished after two kills has the very bytes of what was never stopped."""
    for number in range(60):
        (data / f"{number:03}.png").symlink_to(data / "stripes" / f"{number % 4}.png")
    arguments = ["images", "--features", layers, "--batch-size", "4"]
    run(*arguments, "--out", f"whole.{endings[0]}")
    command = ["score", *arguments, "--out", f"killed.{endings[0]}", "--model", str(tiny_weights)]
    for more, after in (([], 20), (["--resume"], 44)):
        program = KILLED.replace("AFTER", str(after))
        killed = subprocess.run([sys.executable, "-c", program, *command, *more], capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not Path(f"killed.{endings[0]}").exists()
    done = run(*arguments, "--out", f"killed.{endings[0]}", "--resume")
    assert (done.exit_code, done.stdout) == (3, f"killed.{endings[0]}: 67 rows, 1 of them not read\n")
    for ending in endings:
        assert Path(f"killed.{ending}").read_bytes() == Path(f"whole.{ending}").read_bytes()
