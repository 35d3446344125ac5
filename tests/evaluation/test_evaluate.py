"""`evaluate`: which images of a run or a folder are evaluated, classes matched by name, and the temperature."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.runs import started

from finetune.classifier import Classifier, load
from finetune.data.dataset import Dataset, Record
from finetune.errors import DataError, RunError, UsageError, WeightsError
from finetune.evaluation.evaluate import evaluate
from finetune.model import Model
from finetune.runs.run import Run

NAMES = ("red", "green", "blue")


@pytest.fixture
def colours(image_folder: Callable[..., Path]) -> Path:
    """A folder with 5, 4 and 3 textures as the classes of `tiny_model`."""
    data = image_folder(stripes=5, dots=4, waves=3)
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


def test_own_validation_images_give_what_predict_gives(run: Path, colours: Path) -> None:
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


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("metrics", "kept"),
    [
        ({"kept": "last"}, "last"),
        ({"kept": "best"}, "best"),
        ({"kept": "probe"}, "probe"),
        ({}, "best"),
        ({"kept": "?"}, "best"),
        ("damaged", "best"),
    ],
)
def test_which_epoch_was_kept(run: Path, tiny_model: Model, metrics: object, kept: str) -> None:
    Run(run).write_model(replace(tiny_model, about={"metrics": metrics}))
    done = evaluate(run)
    assert (done.kept, done.to_json()["kept"]) == (kept, kept)


def test_another_folder_is_matched_by_class_name(run: Path, colours: Path, tmp_path: Path) -> None:
    assert [metrics.support for metrics in evaluate(run, colours).per_class] == [5, 4, 3]
    some = tmp_path / "some"
    some.mkdir()
    (colours / "blue").rename(some / "blue")
    done = evaluate(run, some)
    assert [metrics.support for metrics in done.per_class] == [0, 0, 3]
    assert done.class_names == NAMES
    assert done.confusion.sum() == 3


def test_classes_the_model_does_not_know(run: Path, colours: Path) -> None:
    (colours / "blue").rename(colours / "bleu")
    message = (
        rf"the model has no class 'bleu' \(did you mean blue\?\): {colours} has bleu, green, red, "
        "the model has red, green, blue; give images of some or all of the model's classes$"
    )
    with pytest.raises(DataError, match=message):
        evaluate(run, colours)


def test_lists_count_their_validation_lines(run: Path, colours: Path, tmp_path: Path) -> None:
    """All lines of a list count, but of a CSV with splits only validation; the results are the folder's."""
    plain, splits = tmp_path / "plain.txt", tmp_path / "splits.csv"
    paths = sorted((colours / "red").iterdir())
    plain.write_text("".join(f"{path} red\n" for path in paths))
    splits.write_text(
        "path,label,split\n" + "".join(f"{path},red,{'val' if i else 'train'}\n" for i, path in enumerate(paths))
    )
    (tmp_path / "only").mkdir()
    (colours / "red").rename(tmp_path / "only" / "red")
    (colours / "red").symlink_to(tmp_path / "only" / "red")
    whole = evaluate(run, tmp_path / "only")
    assert (whole.images, evaluate(run, plain).top1) == (5, whole.top1)
    assert evaluate(run, splits).images == 4


def test_a_split_of_the_runs_own_images(run: Path) -> None:
    """Of 5, 4 and 3 images, the first two of each class are for validation."""
    training = evaluate(run, split="train")
    assert [metrics.support for metrics in training.per_class] == [3, 2, 1]
    assert training.overlap == (6, 0)
    assert evaluate(run, split="val").to_json() == evaluate(run).to_json()
    with pytest.raises(DataError) as caught:
        evaluate(run, split="test")
    assert str(caught.value) == (
        f"expected a split 'test' in {run / 'manifest.csv'}, but it has train and val; give one of those to --split, "
        "or give data with that split to --data"
    )


def test_a_split_of_other_data(run: Path, colours: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for split, name in (("train", "red"), ("val", "green"), ("TEST", "blue")):
        (data / split).mkdir(parents=True)
        (colours / name).rename(data / split / name)
    found = {split: evaluate(run, data, split) for split in (None, "train", "val", "test")}  # type: ignore[arg-type]
    assert {split: [metrics.support for metrics in done.per_class] for split, done in found.items()} == {
        None: [0, 4, 0],
        "train": [5, 0, 0],
        "val": [0, 4, 0],
        "test": [0, 0, 3],
    }


def test_a_split_that_cannot_be_read_is_named(run: Path, colours: Path) -> None:
    for image in colours.rglob("*.png"):
        image.unlink()
    with pytest.raises(DataError, match=r"no image of the training images of .* can be read; .* first: .*2\.png"):
        evaluate(run, split="train")


def test_folders_that_hold_nothing(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty" / "red").mkdir(parents=True)
    with pytest.raises(DataError, match="empty has no labelled images; expected a folder of images per class"):
        evaluate(run, tmp_path / "empty")
    (tmp_path / "empty" / "red" / "broken.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"no image of .*empty can be read; give a folder of images with --data; the"):
        evaluate(run, tmp_path / "empty")
    with pytest.raises(UsageError, match=r"expected a folder or list of images, but .*nowhere does not exist"):
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
    for image in colours.rglob("*.png"):
        image.unlink()
    with pytest.raises(DataError, match=r"no image of the validation images of .* can be read; .* first: .*0\.png"):
        evaluate(run)


def test_from_another_folder_than_train_was_run_in(
    run: Path, colours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run at its --out finds its images from any folder; a moved run says in one line what to do."""
    monkeypatch.chdir(tmp_path)
    records = [
        Record(Path(colours.name, name, "0.png"), label, "val", "") for label, name in enumerate(NAMES)
    ]  # fmt: skip
    Run(run).write_data(Dataset(tuple(records), NAMES))
    (run / "config.json").write_text('{"out": "run"}')
    expected = [result.probability for result in evaluate(Path("run")).least_certain]
    (tmp_path / "else" / "where").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "else")
    done = evaluate(Path("..", "run").resolve())
    assert [result.probability for result in done.least_certain] == expected
    assert {result.path.parents[1] for result in done.least_certain} == {colours}
    run.rename(tmp_path / "moved")
    message = (
        r"^no image of the validation images of .*moved can be read; the paths in .*moved/manifest\.csv are relative "
        r"to the folder where train was run; evaluate from there, or give a folder of images with --data$"
    )
    with pytest.raises(DataError, match=message):
        evaluate(tmp_path / "moved")


def test_images_used_in_training_are_counted(run: Path, colours: Path) -> None:
    """Of 5, 4 and 3 images, the first two of each class are for validation."""
    assert evaluate(run, colours).overlap == (6, 6)
    assert evaluate(run).overlap == (0, 6)
    assert evaluate(run, colours).to_json()["trained_on"] == 6


def test_a_run_with_files_of_two_runs(run: Path, tmp_path: Path) -> None:
    (run / "classes.txt").write_text("red\ngreen\nblue\nblack\n")
    with pytest.raises(RunError, match="files of two runs: its model knows red, green, blue, its images are of red,"):
        evaluate(run)
    with pytest.raises(RunError, match=r"has no model\.safetensors"):
        evaluate(tmp_path)


def test_predict_divides_by_the_temperature(tiny_model: Model, image_folder: Callable[..., Path]) -> None:
    image = next(image_folder(dots=1).rglob("*.png"))
    classifier = Classifier(replace(tiny_model, about={"temperature": 3.0}))
    ((path, row),) = classifier.logits([image])
    assert path == image
    assert isinstance(row, np.ndarray)
    powers = np.exp(row.astype(np.float64) / 3)
    (prediction,) = classifier.predict([image], top=3)
    assert {s.index: s.probability for s in prediction.scores} == pytest.approx(dict(enumerate(powers / powers.sum())))
    assert Classifier(tiny_model).temperature == 1


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "warm", None])
def test_an_invalid_temperature(tiny_model: Model, value: object) -> None:
    with pytest.raises(WeightsError, match=r"the model's temperature is .*; expected a number above 0"):
        Classifier(replace(tiny_model, about={"temperature": value}))
