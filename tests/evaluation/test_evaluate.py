"""evaluate: figures worked out by hand, classes matched by name, and the model's temperature."""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.runs import started

from finetune.classifier import Classifier, load
from finetune.data.dataset import Dataset, Record, Skipped
from finetune.errors import DataError, RunError, WeightsError
from finetune.evaluation.evaluate import SHOWN, assess, evaluate
from finetune.model import Model
from finetune.runs.run import Run

NAMES = ("red", "green", "blue")


@pytest.fixture
def colours(pictures: Callable[..., Path]) -> Path:
    """A folder with 5, 4 and 3 textures as the classes of `tiny_model`."""
    data = pictures(stripes=5, dots=4, waves=3)
    for texture, name in zip(("stripes", "dots", "waves"), NAMES, strict=True):
        (data / texture).rename(data / name)
    return data


@pytest.fixture
def run(colours: Path, tiny_model: Model, tmp_path: Path) -> Path:
    """A run of `tiny_model` whose validation images are the first two of each class."""
    records = tuple(
        Record(path, label, "val" if path.stem in "01" else "train", "")
        for label, name in enumerate(NAMES)
        for path in sorted((colours / name).iterdir())
    )
    made = Run(tmp_path / "run")
    started(made.path, {}, Dataset(records, NAMES))
    made.write_model(replace(tiny_model, about={"temperature": 2.0}))
    made.write_metrics({})
    return made.path


def logits(*probabilities: list[float]) -> np.ndarray:
    return np.log(np.array(probabilities)).astype(np.float32)


def test_figures_by_hand() -> None:
    """Two of four are right; the third is more wrong than the second."""
    labelled = [(Path("a"), 0), (Path("b"), 1), (Path("c"), 0), (Path("d"), 2)]
    output = logits([0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5])
    done = assess(labelled, output, NAMES, 1.0)
    assert (done.images, done.top1, done.top5) == (4, 0.5, 1)
    assert done.confusion.tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert [figures.recall for figures in done.per_class] == [0.5, 0, 1]
    assert done.top1_interval == pytest.approx((0.1500, 0.8500), abs=1e-4)  # Wilson: ± z / (2 √(4 + z²)) here
    # one bin: 0.5, 0.5, 0.6 and 0.8, half of them right
    assert done.ece_before == pytest.approx(0.6 - 0.5, abs=1e-6)
    assert done.ece_after == done.ece_before
    assert done.loss_before == pytest.approx(-math.log(0.6 * 0.3 * 0.1 * 0.5) / 4, abs=1e-6)
    assert done.loss_after == done.loss_before
    assert [(j.path.name, j.true, j.predicted) for j in done.most_wrong] == [
        ("c", "red", "green"), ("b", "green", "red"),
    ]  # fmt: skip
    assert done.most_wrong[0].probability == pytest.approx(0.8)
    assert done.most_wrong[0].true_probability == pytest.approx(0.1)
    assert {j.path.name for j in done.least_certain[:2]} == {"b", "d"}
    assert [j.path.name for j in done.least_certain[2:]] == ["a", "c"]


def test_temperature_changes_how_sure_and_nothing_else() -> None:
    labelled = [(Path("a"), 0), (Path("b"), 1)]
    plain, cooled = (assess(labelled, logits([0.9, 0.1], [0.9, 0.1]), ("x", "y"), t) for t in (1.0, 2.0))
    assert cooled.ece_before == pytest.approx(plain.ece_before) == pytest.approx(0.4)
    assert cooled.ece_after == pytest.approx(0.25)  # √9 : √1
    assert cooled.loss_before == pytest.approx(plain.loss_before) == pytest.approx(-math.log(0.9 * 0.1) / 2)
    assert cooled.loss_after == pytest.approx(-math.log(0.75 * 0.25) / 2)
    assert (cooled.top1, cooled.confusion.tolist()) == (plain.top1, plain.confusion.tolist())


def test_json_has_everything() -> None:
    done = assess([(Path("a"), 1)], logits([0.5, 0.25, 0.25]), NAMES, 1.5, [Skipped(Path("b"), "the file is empty")])
    written = json.loads(json.dumps(done.to_json()))
    share = pytest.approx(3.8415 / 4.8415, abs=1e-4)  # z² / (1 + z²): one picture tells little
    assert written["intervals"] == {"top1": [0, share], "top5": [pytest.approx(1 / 4.8415, abs=1e-4), 1]}
    assert (written["trained_on"], written["validated_on"]) == (None, None)
    assert written["confusion"] == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert written["per_class"][0] == {"label": "red", "precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert sum(bin["images"] for bin in written["reliability_after"]) == 1
    assert written["most_wrong"][0]["path"] == "a"
    assert written["unreadable"] == [{"path": "b", "error": "the file is empty"}]


def test_only_the_first_are_named() -> None:
    done = assess([(Path(str(i)), 1) for i in range(50)], np.float32([[i, 0] for i in range(1, 51)]), ("x", "y"), 1.0)
    assert [judged.path.name for judged in done.most_wrong] == [str(i) for i in range(49, 49 - SHOWN, -1)]
    assert [judged.path.name for judged in done.least_certain] == [str(i) for i in range(SHOWN)]


def test_output_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(WeightsError, match="the model's output for b is not finite"):
        assess([(Path("a"), 0), (Path("b"), 0)], np.float32([[1, 2], [np.nan, 1]]), ("x", "y"), 1.0)


def test_own_validation_images_as_predict_sees_them(run: Path, colours: Path) -> None:
    paths = {path: name for name in NAMES for path in sorted((colours / name).glob("[01].png"))}
    predictions = list(load(str(run)).predict(paths, top=3))
    taken = Counter((paths[p.path], p.scores[0].label) for p in predictions)
    done = evaluate(run)
    assert done.images == 6
    assert done.temperature == 2
    assert done.confusion.tolist() == [[taken[true, predicted] for predicted in NAMES] for true in NAMES]
    assert done.top1 == sum(taken[name, name] for name in NAMES) / 6
    expected = {p.path: p.scores[0].probability for p in predictions}
    assert {j.path: j.probability for j in done.least_certain} == pytest.approx(expected, abs=1e-6)


def test_another_folder_by_name(run: Path, colours: Path, tmp_path: Path) -> None:
    assert [figures.support for figures in evaluate(run, colours).per_class] == [5, 4, 3]
    some = tmp_path / "some"
    some.mkdir()
    (colours / "blue").rename(some / "blue")
    done = evaluate(run, some)
    assert [figures.support for figures in done.per_class] == [0, 0, 3]
    assert done.class_names == NAMES
    assert done.confusion.sum() == 3


def test_classes_the_model_does_not_know(run: Path, colours: Path) -> None:
    (colours / "blue").rename(colours / "bleu")
    message = (
        rf"class 'bleu' is unknown to the model \(did you mean blue\?\): {colours} has bleu, green, red; "
        "the model knows red, green, blue; name pictures of these classes"
    )
    with pytest.raises(DataError, match=message):
        evaluate(run, colours)


def test_lists_count_their_validation_lines(run: Path, colours: Path, tmp_path: Path) -> None:
    """Of a list all lines count, of a CSV with sides those of validation; the answers are the folder's."""
    plain, sides = tmp_path / "plain.txt", tmp_path / "sides.csv"
    paths = sorted((colours / "red").iterdir())
    plain.write_text("".join(f"{path} red\n" for path in paths))
    sides.write_text(
        "path,label,split\n" + "".join(f"{path},red,{'val' if i else 'train'}\n" for i, path in enumerate(paths))
    )
    (tmp_path / "only").mkdir()
    (colours / "red").rename(tmp_path / "only" / "red")
    (colours / "red").symlink_to(tmp_path / "only" / "red")
    whole = evaluate(run, tmp_path / "only")
    assert (whole.images, evaluate(run, plain).top1) == (5, whole.top1)
    assert evaluate(run, sides).images == 4


def test_folders_that_hold_nothing(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty" / "red").mkdir(parents=True)
    with pytest.raises(DataError, match="empty has no labelled images; expected a folder of images per class"):
        evaluate(run, tmp_path / "empty")
    (tmp_path / "empty" / "red" / "broken.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"no image of .*empty can be read; name a folder of pictures with --data; the"):
        evaluate(run, tmp_path / "empty")
    with pytest.raises(DataError, match=r"expected a folder or list of images, but .*nowhere does not exist"):
        evaluate(run, tmp_path / "nowhere")


def test_unreadable_images_are_named_and_not_counted(run: Path, colours: Path) -> None:
    (colours / "red" / "0.png").write_bytes(b"")
    (colours / "green" / "1.png").unlink()
    done = evaluate(run)
    assert done.images == 4
    assert done.unreadable == (
        (colours / "red" / "0.png", "the file is empty"),
        (colours / "green" / "1.png", "cannot be opened (No such file or directory)"),
    )
    for picture in colours.rglob("*.png"):
        picture.unlink()
    with pytest.raises(DataError, match=r"no image of the validation images of .* can be read; .* first: .*0\.png"):
        evaluate(run)


def test_from_another_folder_than_train_was_called_from(
    run: Path, colours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The run stands under the name of its --out, so its pictures are found; moved, one line says what to do."""
    monkeypatch.chdir(tmp_path)
    records = [
        Record(Path(colours.name, name, "0.png"), label, "val", "") for label, name in enumerate(NAMES)
    ]  # fmt: skip
    Run(run).write_data(Dataset(tuple(records), NAMES))
    (run / "config.json").write_text('{"out": "run"}')
    expected = [judged.probability for judged in evaluate(Path("run")).least_certain]
    (tmp_path / "else" / "where").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "else")
    done = evaluate(Path("..", "run").resolve())
    assert [judged.probability for judged in done.least_certain] == expected
    assert {judged.path.parents[1] for judged in done.least_certain} == {colours}
    run.rename(tmp_path / "moved")
    message = (
        r"^no image of the validation images of .*moved can be read; the paths in .*moved/manifest\.csv are relative "
        r"to the folder where train was called; run this from there, or name a folder of pictures with --data$"
    )
    with pytest.raises(DataError, match=message):
        evaluate(tmp_path / "moved")


def test_pictures_that_were_trained_on_are_counted(run: Path, colours: Path) -> None:
    """Of 5, 4 and 3 pictures the first two of each class are for validation."""
    assert evaluate(run, colours).seen == (6, 6)
    assert evaluate(run).seen == (0, 6)
    assert evaluate(run, colours).to_json()["trained_on"] == 6


def test_a_run_whose_files_do_not_fit(run: Path, tmp_path: Path) -> None:
    (run / "classes.txt").write_text("red\ngreen\nblue\nblack\n")
    with pytest.raises(RunError, match="files of two runs: its model knows red, green, blue, its images are of red,"):
        evaluate(run)
    with pytest.raises(RunError, match=r"has no model\.safetensors"):
        evaluate(tmp_path)


def test_predict_divides_by_the_temperature(tiny_model: Model, pictures: Callable[..., Path]) -> None:
    picture = next(pictures(dots=1).rglob("*.png"))
    classifier = Classifier(replace(tiny_model, about={"temperature": 3.0}))
    ((path, row),) = classifier.logits([picture])
    assert path == picture
    assert isinstance(row, np.ndarray)
    powers = np.exp(row.astype(np.float64) / 3)
    (prediction,) = classifier.predict([picture], top=3)
    assert {s.index: s.probability for s in prediction.scores} == pytest.approx(dict(enumerate(powers / powers.sum())))
    assert Classifier(tiny_model).temperature == 1


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "warm", None])
def test_a_temperature_that_is_none(tiny_model: Model, value: object) -> None:
    with pytest.raises(WeightsError, match=r"the model's temperature is .*; expected a number above 0"):
        Classifier(replace(tiny_model, about={"temperature": value}))
