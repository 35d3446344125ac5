"""report.html: metrics, plots and images of a run in one page, with every name and path escaped."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from finetune.data.dataset import Dataset
from finetune.data.thumbnails import thumbnails
from finetune.errors import RunError
from finetune.evaluation import plots
from finetune.runs.provenance import repeat_command
from finetune.runs.read_run import (
    read_augmented,
    read_dataset,
    read_evaluation,
    read_history,
    read_plan,
    read_probe,
)
from finetune.runs.run import open_run
from finetune.system.page_template import page_template
from finetune.system.text import percent

MATRIX_CLASSES = 40  # as many fit a screen; of more, the matrix is a plot and a list of the most frequent confusions
CONFUSIONS = 20  # how long that list is
_INCONSISTENT = (ArithmeticError, AttributeError, LookupError, RecursionError, TemplateError, TypeError, ValueError)
_MADE_WITH = ("finetune", "python", "tensorflow", "system")  # of the versions, which are all at the end of the page
SKIPPED_FILES = 200  # listed on the page; skipped.csv has them all


def write_report(run_path: Path) -> Path:
    """Write the report of a run from the files in its directory alone, and return its path.

    Raises RunError when `run_path` is not a finished run.
    """
    run = open_run(run_path)
    probe = read_probe(run)
    history, evaluation = [] if probe else read_history(run), read_evaluation(run)
    try:
        page = render_report(
            run.path.resolve().name,
            run.config(),
            read_plan(run),
            run.metrics(),
            history,
            read_dataset(run),
            evaluation,
            probe,
            read_augmented(run),
        )
    except _INCONSISTENT as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise RunError(f"the files in {run_path} do not fit together ({reason}); train again") from None
    run.write_report(page)
    return run.path / "report.html"


def with_thumbnails(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return an evaluation's JSON with one more key, `thumbnails`, for the images that it lists."""
    shown = [*evaluation["most_wrong"], *evaluation["least_certain"]]
    return {**evaluation, "thumbnails": thumbnails(Path(result["path"]) for result in shown)}


def render_report(
    name: str,
    config: Mapping[str, Any],
    plan: str,
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    dataset: Dataset,
    evaluation: Mapping[str, Any] | None = None,
    probe: Sequence[Mapping[str, Any]] = (),
    augmented: bytes = b"",
) -> str:
    """Return the page of the run `name` as HTML.

    `history`: a mapping per epoch. `probe`: in its place for a linear probe, a mapping per layer that was tried.
    `evaluation`: from `with_thumbnails`; without it, its part of the page is missing.
    `augmented`: the PNG of augmented views, if there is one. Options that are off are not listed.
    """
    template = page_template("finetune.evaluation", "report.html.j2", percent=_percent, short_path=_short_path)
    return template.render(
        name=name,
        data=_data(config),
        options={option: text for option, value in config.items() if option != "versions" and (text := _text(value))},
        versions=config.get("versions", {"finetune": config.get("version", "unknown")}),
        command=repeat_command(config),
        facts=_facts(config, metrics, dataset),
        accuracy=evaluation["top1"] if evaluation else metrics["val_accuracy"],
        plan=_plan(plan, probe) if plan else None,
        augmented=f"data:image/png;base64,{base64.b64encode(augmented).decode()}" if augmented else "",
        metrics=metrics,
        history=history,
        probe=probe,
        curves=plots.training_curves(history, metrics["best_epoch"]) if history else [],
        kept=metrics.get("kept", "best"),  # runs of 0.1 keep the best epoch
        skipped=dataset.skipped[:SKIPPED_FILES],
        more_skipped=len(dataset.skipped[SKIPPED_FILES:]),
        classes=_classes(dataset, evaluation),
        fold_classes=len(dataset.class_names) > MATRIX_CLASSES,
        evaluation=evaluation,
        **(_reliability(evaluation) if evaluation else {}),
        **(_confusion(evaluation) if evaluation else {}),
    )


def _classes(dataset: Dataset, evaluation: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return a row per class: its name, how many images it has in each split, and its metrics if there are any."""
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


def _facts(config: Mapping[str, Any], metrics: Mapping[str, Any], dataset: Dataset) -> dict[str, str]:
    """Return what the result is of: data, model, and the programs that made it, as far as the run names them.

    The date is not among them: a run records no clock times, so that equal runs have equal files.
    """
    splits = Counter(record.split for record in dataset.records)
    data = [
        f"{len(dataset.class_names):,} classes",
        f"{splits['train']:,} training images",
        f"{splits['val']:,} validation images" if splits["val"] else "",
        f"skipped files: {len(dataset.skipped):,}" if dataset.skipped else "",
    ]
    model = {
        "": config.get("network"),
        "weights": (config.get("source_weights") or {}).get("name") or Path(config.get("weights") or "").name,
        "linear probe on": metrics.get("probe"),
        "fresh": _text(config.get("skip")),
        "trained further": _text(config.get("train")),
        "epoch": f"{metrics['best_epoch']} of {metrics['epochs']}" if "best_epoch" in metrics else None,
    }
    versions = config.get("versions", {})
    facts = {
        "Data": f"{_data(config)}: {', '.join(part for part in data if part)}",
        "Model": "; ".join(f"{name} {value}".strip() for name, value in model.items() if value),
        "Made with": ", ".join(f"{name} {versions[name]}" for name in _MADE_WITH if name in versions),
    }
    return {name: text for name, text in facts.items() if text}


def _plan(plan: str, probe: Sequence[Mapping[str, Any]]) -> tuple[list[str], str]:
    """Return the sentences of a plan and its tables, without that of `probe`, which the page shows as its own."""
    sentences, *tables = plan.strip().split("\n\n")
    tables = [table for table in tables if not (probe and table.startswith("probe on "))]
    return sentences.splitlines(), "\n\n".join(tables)


def _reliability(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plots of the model as it is used and, if a temperature changes it, as it was trained."""
    temperature = evaluation["temperature"]
    trained, used = ("as trained", "before"), ("as used", "after")
    ways = [used] if temperature == 1 else [trained, used]
    plotted = [plots.reliability_diagram(evaluation[f"reliability_{key}"], way) for way, key in ways]
    return {"ways": ways, "reliability": plotted}


def _confusion(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the matrix as rows of (count, share of the row), or, for many classes, a plot and the top confusions."""
    names = [metrics["label"] for metrics in evaluation["per_class"]]
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
    """Return a value of config.json as text; empty for an option that is off."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return "" if value is None else str(value)


def _percent(share: float) -> str:
    return percent(share).replace(" ", "\N{NO-BREAK SPACE}")


def _data(config: Mapping[str, Any]) -> str:
    return str(Path(config["data"]).name or config["data"])


def _short_path(path: str) -> str:
    """Return the folder and the name of a file."""
    return str(Path(*Path(path).parts[-2:]))
