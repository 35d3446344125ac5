"""The page: figures and names go into the template, every name and path escaped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateError

from finetune.data.dataset import Dataset
from finetune.data.thumbnails import thumbnails
from finetune.errors import RunError
from finetune.evaluation import plots
from finetune.runs.provenance import command
from finetune.runs.read_run import read_dataset, read_evaluation, read_history, read_plan
from finetune.runs.run import open_run

MATRIX_CLASSES = 20  # a confusion matrix of more classes is a picture, with the most frequent confusions in words
CONFUSIONS = 20  # how many of those
_MISFITS = (ArithmeticError, AttributeError, LookupError, RecursionError, TemplateError, TypeError, ValueError)
SKIPPED_FILES = 200  # named on the page; skipped.csv has them all


def report(run_path: Path) -> Path:
    """Write the page of a run again, from the files in its directory alone, and return it.

    Raises RunError when it is no finished run.
    """
    run = open_run(run_path)
    history, evaluation = read_history(run), read_evaluation(run)
    try:
        page = render_report(
            run.path.resolve().name, run.config(), read_plan(run), run.metrics(), history, read_dataset(run), evaluation
        )
    except _MISFITS as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise RunError(f"the files in {run_path} do not fit together ({reason}); train again") from None
    run.write_report(page)
    return run.path / "report.html"


def with_thumbnails(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return an evaluation's JSON and beside it, as `thumbnails`, small copies of the photos that it names."""
    shown = [*evaluation["most_wrong"], *evaluation["least_certain"]]
    return {**evaluation, "thumbnails": thumbnails(Path(judged["path"]) for judged in shown)}


def render_report(
    name: str,
    config: Mapping[str, Any],
    plan: str,
    metrics: Mapping[str, Any],
    history: Sequence[Any],
    dataset: Dataset,
    evaluation: Mapping[str, Any] | None = None,
) -> str:
    """Return the page of the run `name` as HTML; without `evaluation`, which `with_thumbnails` gave, without its part.

    Options that are off, and so say nothing, are left out.
    """
    rows = [row if isinstance(row, Mapping) else row._asdict() for row in history]
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}\N{NO-BREAK SPACE}%"
    environment.filters["file_name"] = lambda path: Path(path).name
    template = environment.from_string(
        files("finetune.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        name=name,
        data=Path(config["data"]).name or config["data"],
        options={option: text for option, value in config.items() if option != "versions" and (text := _text(value))},
        versions=config.get("versions", {"finetune": config.get("version", "unknown")}),
        command=command(config),
        plan=plan,
        metrics=metrics,
        history=rows,
        curves=plots.training_curves(rows, metrics["best_epoch"]),
        skipped=dataset.skipped[:SKIPPED_FILES],
        more_skipped=len(dataset.skipped[SKIPPED_FILES:]),
        classes=_classes(dataset, evaluation),
        evaluation=evaluation,
        reliability=_reliability(evaluation) if evaluation else [],
        **(_confusion(evaluation) if evaluation else {}),
    )


def _classes(dataset: Dataset, evaluation: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return one row a class: its name, how many images it has on each side, and its figures if there are any."""
    counts = Counter((record.label, record.split) for record in dataset.records)
    return [
        {
            "name": name,
            "train": counts[label, "train"],
            "val": counts[label, "val"],
            **(evaluation["per_class"][label] if evaluation else {}),
        }
        for label, name in enumerate(dataset.class_names)
    ]


def _reliability(evaluation: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (description, plot) of the model as it is used and, if its temperature changes it, as it was trained."""
    used = plots.reliability_diagram(evaluation["reliability_after"], f"temperature {evaluation['temperature']:.3f}")
    if evaluation["temperature"] == 1:
        return [("share that is right by confidence", used)]
    trained = plots.reliability_diagram(evaluation["reliability_before"], "as trained")
    return [
        ("share that is right by confidence, as trained", trained),
        ("share that is right by confidence, as used", used),
    ]


def _confusion(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the matrix as rows of (count, share of the row), or of many classes a picture and what stands out."""
    names = [figures["label"] for figures in evaluation["per_class"]]
    counts = evaluation["confusion"]
    if len(names) <= MATRIX_CLASSES:
        shares = [[(count, count / max(sum(row), 1)) for count in row] for row in counts]
        return {"matrix": list(zip(names, shares, strict=True)), "names": names}
    wrong = [
        (count, names[true], names[predicted])
        for true, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    wrong.sort(key=lambda confusion: -confusion[0])
    return {"confusions": wrong[:CONFUSIONS], "confusion_map": plots.confusion_map(counts)}


def _text(value: Any) -> str:
    """Return a value of config.json for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return "" if value is None else str(value)
