"""`finetune evaluate`: what it prints where, and its exit codes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
import typer
from support.runs import started
from typer.testing import CliRunner, Result

from finetune.cli.evaluate import _report, evaluate
from finetune.cli.terminal import show
from finetune.data.dataset import Dataset, Record
from finetune.errors import DataError
from finetune.evaluation.assess import Evaluation, assess
from finetune.model import Model
from finetune.runs.run import Run

app = typer.Typer()
app.command()(evaluate)


def invoke(*arguments: object) -> Result:
    """Run the command; raise what it raises."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages of finetune; TensorFlow warns after several evaluations in one process."""
    return [record.message for record in caplog.records if record.name.startswith("finetune")]


@pytest.fixture
def run(image_folder: Callable[..., Path], tiny_model: Model, tmp_path: Path) -> Path:
    """A finished run of three classes, two validation images in each, one of them unreadable."""
    data = image_folder(stripes=2, dots=2, waves=2)
    folders = ("stripes", "dots", "waves")
    records = [Record(data / name / f"{i}.png", label, "val", "") for label, name in enumerate(folders) for i in (0, 1)]
    made = Run(tmp_path / "run")
    started(made.path, {"data": str(data)}, Dataset(tuple(records), tiny_model.class_names))
    columns = ("epoch", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
    made.write_history(columns, [(1, 0.1, 1.0, 0.5, 1.0, 0.5)])
    made.write_model(tiny_model)
    made.write_metrics({"val_accuracy": 0.5, "best_epoch": 1, "epochs": 1, "interrupted": False})
    return made.path


def test_tables(run: Path) -> None:
    done = invoke(run)
    assert (done.exit_code, done.stderr) == (0, "")
    overall, classes, matrix = done.stdout.split("\n\n")
    assert overall.splitlines()[0].startswith("top-1 ")
    assert overall.splitlines()[1].split() == ["images", "6"]
    assert "top-5" not in overall, "of three classes the true one is always among five"
    assert "temperature" not in overall.partition("The best epoch")[0], "it has none"
    assert f"\n{' ' * 19}1 bin with equal numbers of images\n" in overall
    assert overall.splitlines()[-2:] == [
        "The best epoch and the temperature were chosen on these images, so the metrics are slightly optimistic;",
        "for unbiased ones, use images that training has not used: finetune evaluate RUN --data FOLDER",
    ]
    assert [line.split()[:2] for line in classes.splitlines()] == [
        ["class", "images"], ["red", "2"], ["green", "2"], ["blue", "2"],
    ]  # fmt: skip
    counts = [list(map(int, line.split()[1:])) for line in matrix.splitlines()[2:]]
    assert [sum(row) for row in counts] == [2, 2, 2]


def test_where_the_last_epoch_is_kept_only_the_temperature_was_chosen(run: Path, tiny_model: Model) -> None:
    Run(run).write_model(replace(tiny_model, about={"metrics": {"kept": "last"}}))
    overall, *_ = invoke(run).stdout.split("\n\n")
    assert "chosen" not in overall, "no temperature lowered the loss"
    Run(run).write_model(replace(tiny_model, about={"metrics": {"kept": "last"}, "temperature": 1.5}))
    overall, *_ = invoke(run).stdout.split("\n\n")
    assert "with the model's temperature 1.500" in overall
    assert "% without the temperature; 1 bin with equal numbers of images\n" in overall
    assert overall.splitlines()[-1] == (
        "Only the temperature was chosen on these images: it does not change the accuracy, but the loss and the "
        "calibration error are slightly optimistic."
    )
    assert "best epoch" not in overall


def test_nothing_was_chosen_on_the_validation_images_of_a_probe(run: Path, tiny_model: Model) -> None:
    Run(run).write_model(replace(tiny_model, about={"metrics": {"kept": "probe"}}))
    overall, *_ = invoke(run).stdout.split("\n\n")
    assert "chosen" not in overall


def test_json_is_one_object_with_the_same_metrics(run: Path) -> None:
    (line,) = invoke(run, "--json").stdout.splitlines()
    metrics = json.loads(line)
    assert metrics["images"] == 6
    assert f"top-1              {100 * metrics['top1']:.1f} %  (95 % interval " in invoke(run).stdout
    assert [row["label"] for row in metrics["per_class"]] == ["red", "green", "blue"]


def test_unreadable_images_are_exit_code_3(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = tmp_path / "images" / "dots" / "1.png"
    broken.write_bytes(b"")
    done = invoke(run)
    assert done.exit_code == 3
    assert "5, and 1 that could not be read" in done.stdout
    assert warnings(caplog) == [
        f"not read: {broken}: the file is empty",
        "1 of 6 not read: 1 × the file is empty; each with its reason in evaluate --json",
    ]
    done = invoke(run, "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["unreadable"] == [{"path": str(broken), "error": "the file is empty"}]


def test_some_of_the_classes(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "images" / "dots").rename(other / "green")
    done = invoke(run, "--data", other)
    assert done.exit_code == 0
    assert "no images of       red, blue\n" in done.stdout
    (other / "green").rename(other / "greene")
    with pytest.raises(DataError, match=r"the model has no class 'greene' \(did you mean green\?\)"):
        invoke(run, "--data", other)


def test_training_images_are_reported(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = run / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("0.png,red,val", "0.png,red,train"))
    (tmp_path / "other" / "red").mkdir(parents=True)
    for number in (0, 1):
        copy(tmp_path / "images" / "stripes" / f"{number}.png", tmp_path / "other" / "red")
    done = invoke(run, "--data", tmp_path / "other")
    assert "were chosen on 1 of these images, so the metrics are slightly optimistic" in done.stdout
    assert warnings(caplog) == ["the model was trained on 1 of these 2 images, so the metrics are too optimistic"]
    metrics = json.loads(invoke(run, "--data", tmp_path / "other", "--json").stdout)
    assert (metrics["trained_on"], metrics["validated_on"]) == (1, 1)

    caplog.clear()
    (tmp_path / "other" / "red" / "0.png").unlink()
    (tmp_path / "other" / "red" / "1.png").write_bytes((tmp_path / "images" / "dots" / "1.png").read_bytes() + b"x")
    assert "optimistic" not in invoke(run, "--data", tmp_path / "other").stdout
    assert warnings(caplog) == []
    (tmp_path / "images").rename(tmp_path / "gone")
    invoke(run, "--data", tmp_path / "other")
    assert warnings(caplog) == [
        f"it is not known whether the model was trained on these images: those of {run} are not here"
    ]


@pytest.mark.parametrize(
    ("classes", "top5", "matrix"), [(5, False, True), (6, True, True), (20, True, True), (21, True, False)]
)
def test_top_5_and_the_matrix_are_shown_where_they_help(
    classes: int, top5: bool, matrix: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Top-5 accuracy only for more than five classes, the confusion matrix for up to twenty."""
    names = tuple(f"class{index}" for index in range(classes))
    logits = np.eye(classes, dtype=np.float32)
    show(*_report(assess([(Path(name), index) for index, name in enumerate(names)], logits, names, 1.0)))
    shown = capsys.readouterr().out
    assert ("\ntop-5 " in shown) is top5
    assert ("true class by row" in shown) is matrix


def test_at_most_ten_absent_classes_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    names = tuple(f"class{index}" for index in range(12))
    show(*_report(assess([(Path("x.png"), 0)], np.eye(1, 12, dtype=np.float32), names, 1.0)))
    shown = capsys.readouterr().out
    assert "no images of       class1, class2, " in shown
    assert ", class10 and 1 more\n" in shown


def test_the_calibration_error_is_next_to_its_floor(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong image with the probability 9/10, and 3/4 with the temperature 2."""
    done = assess([(Path("x.png"), 1)], np.float32([[np.log(9), 0]]), ("a", "b"), 2.0)
    show(*_report(replace(done, ece_floor=0.25)))
    shown = capsys.readouterr().out
    assert (
        "\ncalibration error  75.0 % (a perfectly calibrated model would show 25.0 % on this many images)\n"
        f"{' ' * 19}90.0 % without the temperature; 1 bin with equal numbers of images\n"
    ) in shown


def test_a_split(run: Path, tmp_path: Path) -> None:
    for split, count in (("train", 1), ("val", 1), ("Test", 2)):
        (tmp_path / "other" / split / "red").mkdir(parents=True)
        for number in range(count):
            copy(tmp_path / "images" / "stripes" / f"{number}.png", tmp_path / "other" / split / "red")
    done = invoke(run, "--data", tmp_path / "other", "--split", "test", "--json")
    assert json.loads(done.stdout)["images"] == 2
    with pytest.raises(DataError, match=r"expected a split 'test' in .*manifest\.csv, but it has val; give one of"):
        invoke(run, "--split", "test")
    wrong = invoke(run, "--split", "dev")
    assert (wrong.exit_code, "'dev' is not one of" in wrong.stderr) == (2, True)


def many(count: int) -> Evaluation:
    """Return an evaluation of two images in each of many classes: of class 3 both are wrong, of class 5 one is."""
    names = tuple(f"class{index}" for index in range(count))
    truth = [index for index in range(count) for _ in range(2)]
    predicted = [{6: 4, 7: 4, 10: 4}.get(image, label) for image, label in enumerate(truth)]
    logits = np.eye(count, dtype=np.float32)[predicted]
    return assess([(Path(f"{image}.png"), label) for image, label in enumerate(truth)], logits, names, 1.0)


def test_a_terminal_shows_the_worst_of_many_classes(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """F1 of class 3 is 0, of class 4 (precision 2/5) 4/7, of class 5 (recall 1/2) 2/3."""
    show(*_report(many(1000)))
    assert len(capsys.readouterr().out.splitlines()) > 1000, "what is piped is complete"
    terminal(80)
    show(*_report(many(1000)))
    *_, classes = capsys.readouterr().out.split("\n\n")
    lines = [line.split() for line in classes.splitlines()]
    assert [words[0] for words in lines[:5]] == ["class", "class3", "class4", "class5", "class0"]
    assert (len(lines), " ".join(lines[-1])) == (
        12, "the 10 classes with the lowest F1; evaluate --json has all 1,000",
    )  # fmt: skip
    show(*_report(many(20)))
    assert "class19" in capsys.readouterr().out


def test_a_matrix_that_does_not_fit(terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]) -> None:
    """Six names of six letters take 54 columns, and with numbers in the head 26."""
    for width, words in (
        (54, "predicted class by column class0 class1"),
        (53, "predicted class by column, by its number 1 2 3"),
        (25, "evaluate --json has it"),
    ):
        terminal(width)
        show(*_report(many(6)))
        assert words in " ".join(capsys.readouterr().out.split()), width
