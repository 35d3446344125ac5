"""False metadata in a model file or a run is refused before it costs memory or gives wrong results."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.readers import tiny_model, write_run

from finetune.classifier import load
from finetune.errors import FinetuneError, RunError, WeightsError
from finetune.evaluation.report import write_report
from finetune.formats.safetensors_file import read_safetensors, write_safetensors
from finetune.runs.run import Run
from finetune.scoring.choose_format import choose_format
from finetune.scoring.resumable_output import ResumableOutput
from finetune.scoring.score_options import ScoreOptions
from finetune.system.csv_cells import harmless, original
from finetune.training.train import resume

ODD_SIZE = "size and resize_to must be whole numbers up to 2048"
ODD_NUMBERS = "mean must be finite numbers, std finite numbers above 0"

LIES: dict[str, tuple[Callable[[Any], None], str]] = {
    "standard deviation 0": (lambda about: about["preprocessing"].update(std=[0.0]), ODD_NUMBERS),
    "standard deviation below 0": (lambda about: about["preprocessing"].update(std=[-1.0]), ODD_NUMBERS),
    "a mean that is not a number": (lambda about: about["preprocessing"].update(mean=[float("nan")]), ODD_NUMBERS),
    "endless mean": (lambda about: about["preprocessing"].update(mean=[float("inf")]), ODD_NUMBERS),
    "images of a gigapixel": (lambda about: about["preprocessing"].update(resize_to=10**6), ODD_SIZE),
    "input of a gigapixel": (lambda about: about["preprocessing"].update(size=10**6, resize_to=10**6), ODD_SIZE),
    "half a pixel": (lambda about: about["preprocessing"].update(size=8.5), ODD_SIZE),
    "size that is a text": (lambda about: about["preprocessing"].update(size="8"), ODD_SIZE),
    "unknown setting": (lambda about: about["preprocessing"].update(run="rm"), "cannot be understood"),
    "another size than the network's": (
        lambda about: about["preprocessing"].update(size=9, resize_to=9),
        "its preprocessing gives 9 pixels and 1 channels, but its network takes 8 and 1",
    ),
    "another colour than the network's": (
        lambda about: about["preprocessing"].update(channel_order="RGB", mean=[0] * 3, std=[1] * 3),
        "its preprocessing gives 8 pixels and 3 channels, but its network takes 8 and 1",
    ),
    "preprocessing that is a list": (
        lambda about: about.update(preprocessing=[]),
        "its options or its preprocessing are invalid",
    ),
    "no preprocessing": (lambda about: about.pop("preprocessing"), "its options or its preprocessing are invalid"),
    "options that are a text": (
        lambda about: about.update(options="x"),
        "its options or its preprocessing are invalid",
    ),
    "input without pixels": (lambda about: about["options"].update(input_size=0), "does not fit|alexnet-mnist"),
    "billions of units": (lambda about: about["options"].update(fc_units=10**12), "fc6/kernel is .*, but"),
    "class names that are a text": (lambda about: about.update(class_names="ab"), "is not a list of names"),
    "class names that are numbers": (lambda about: about.update(class_names=[1, 2]), "is not a list of names"),
    "too few class names": (lambda about: about.update(class_names=["a"]), "names 1 classes but has 2 outputs"),
    "temperature 0": (lambda about: about.update(temperature=0), "expected a number above 0"),
}


@pytest.mark.parametrize(("change", "message"), LIES.values(), ids=LIES)
def test_a_model_with_false_metadata(change: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    model, path = tiny_model(), tmp_path / "model.safetensors"
    network = model.network
    about = {
        "network": network.name,
        "options": dict(network.options),
        "preprocessing": {**network.preprocessing.to_json(), "mean": [0.0], "std": [255.0]},
        "class_names": list(model.class_names),
    }
    write_safetensors(path, model.weights, about)
    assert load(path).class_names == ("ants", "bees")
    change(about)
    write_safetensors(path, model.weights, about)
    with pytest.raises(WeightsError, match=message) as caught:
        load(path)
    assert str(caught.value).isprintable()
    assert read_safetensors(path).metadata  # only the metadata is refused, not the file


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"), ("+x", "'+x"), ("-x", "'-x"), ("@x", "'@x"), ("\tx", "'\tx"), ("\rx", "'\rx"),
        ("'=1", "''=1"), ("-3.5", "-3.5"), ("+4", "+4"), ("it's", "it's"), ("'s", "'s"), ("", ""), (3, 3),
    ],
)  # fmt: skip
def test_cells_that_a_spreadsheet_would_compute(cell: Any, written: Any) -> None:
    assert harmless(cell) == written
    assert original(str(written)) == str(cell)


EDITS = [
    ("config.json", "[]"),
    ("config.json", '{"data": 3}'),
    ("config.json", '{"data": "x", "epochs": "many"}'),
    ("config.json", '{"data": "x", "shell": "rm"}'),
    ("config.json", "{" * 10_000),
    ("pending.json", "[]"),
    ("checkpoint/last.safetensors", "x"),
]


@pytest.mark.parametrize(("name", "text"), EDITS)
def test_a_run_edited_by_hand_is_not_resumed(name: str, text: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run.path / name).write_text(text)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(FinetuneError):
        resume(run.path)
    after = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    assert after == before


def test_invalid_options_in_a_run_are_not_reported_as_wrong_usage(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run.path / "config.json").write_text('{"data": "x", "epochs": "many"}')
    with pytest.raises(RunError, match=r"the options in .*run are invalid \(--epochs is 'many'; .*\)"):
        resume(run.path)


def test_a_report_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """The page itself forbids it."""
    run = write_run(tmp_path / "run")
    evaluation = json.loads((run.path / "evaluation.json").read_text())
    for prediction in evaluation["most_wrong"]:
        evaluation["thumbnails"][prediction["path"]] = "http://example.com/track.png"
    evaluation["per_class"][0]["label"] = "<script>alert(1)</script>"
    (run.path / "evaluation.json").write_text(json.dumps(evaluation))
    page = write_report(run.path).read_text()
    assert "default-src 'none'; img-src data:" in page
    assert "<script>" not in page


STATES = [
    "[]", "{}", '{"about": 3}', "{" * 10_000,
    '{"about": {}, "rows": -1, "unread": {}, "names": "", "sizes": [0], "finished": false}',
    '{"about": {}, "rows": 1, "unread": {}, "names": "", "sizes": [], "finished": false}',
    '{"about": {}, "rows": 1, "unread": {}, "names": "", "sizes": ["x"], "finished": false}',
    '{"about": {}, "rows": 1, "unread": {"empty": "many"}, "names": "", "sizes": [0], "finished": false}',
]  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_scores_whose_state_was_edited(state: str, tiny_weights: Path, tmp_path: Path) -> None:
    options = ScoreOptions()
    (tmp_path / "a.csv.partial").mkdir()
    (tmp_path / "a.csv.partial" / "state.json").write_text(state)
    form = choose_format(tmp_path / "a.csv", load(tiny_weights), options)
    with pytest.raises(RunError, match=r"state\.json .*start again with --overwrite"):
        ResumableOutput(tmp_path / "a.csv", form, {}, resume=True)


def test_temporary_files_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until they get their name; after that, their permissions follow the umask."""
    renamed = []
    replace = Path.replace

    def replaced(path: Path, target: Path) -> Path:
        renamed.append(path)
        return replace(path, target)

    from finetune.system.atomic import replacing

    monkeypatch.setattr(Path, "replace", replaced)
    with replacing(tmp_path / "a") as temporary:
        assert temporary.stat().st_mode & 0o777 == 0o600
    assert renamed == [temporary]
    assert Run(tmp_path).path.is_dir()
