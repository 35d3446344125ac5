"""The `finetune evaluate` and `finetune report` commands. Nothing heavy is imported at the top."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.cli.output import Verbose
from finetune.system.table import table

if TYPE_CHECKING:
    from finetune.evaluation.assess import Evaluation

logger = logging.getLogger(__name__)

SOME_UNREADABLE = 3  # exit code: done, but some inputs could not be read
MATRIX_CLASSES = 20  # a confusion matrix of more is wider than a terminal; --json has it

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory that `finetune train` left.")]


def evaluate(
    run: Run,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with a folder per class of the model, MNIST's files, or a list; of two sides validation. "
            "[default: the run's validation pictures]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
    verbose: Verbose = False,
) -> None:
    """Judge a run's model: accuracy, the figures of every class, what is taken for what, how sure it may be."""
    from finetune.evaluation.evaluate import evaluate as evaluate_run

    evaluation = evaluate_run(run, data)
    print(json.dumps(evaluation.to_json()) if as_json else _figures(evaluation))
    _warn_of_trained(evaluation, run)
    for path, reason in evaluation.unreadable:
        logger.warning("not read: %s: %s", path, reason)
    if evaluation.unreadable:
        raise typer.Exit(SOME_UNREADABLE)


def report(run: Run, verbose: Verbose = False) -> None:
    """Write a run's report.html again, from the files in its directory alone."""
    from finetune.evaluation.report import write_report

    print(write_report(run))


def _warn_of_trained(evaluation: "Evaluation", run: Path) -> None:
    overlap = evaluation.overlap
    if overlap is None:
        logger.warning("whether these pictures were trained on is not known: those of %s are not here", run)
    elif overlap.trained_on:
        logger.warning(
            "%d of these %d pictures were trained on: the figures flatter", overlap.trained_on, evaluation.images
        )


def _figures(evaluation: "Evaluation") -> str:
    parts = [
        "\n".join([table("ll", _overall(evaluation)), *_chosen_on(evaluation)]),
        table("lrrrr", _classes(evaluation)),
    ]
    if len(evaluation.class_names) <= MATRIX_CLASSES:
        parts.append(f"true class by row, predicted class by column\n{_matrix(evaluation)}")
    return "\n\n".join(parts)


def _overall(evaluation: "Evaluation") -> list[tuple[str, str]]:
    unreadable = f", and {len(evaluation.unreadable)} that could not be read" if evaluation.unreadable else ""
    low, high = evaluation.top1_interval
    rows = [
        ("pictures", f"{evaluation.images}{unreadable}"),
        ("top-1", f"{_percent(evaluation.top1)}  (95 % interval {_percent(low)} to {_percent(high)})"),
    ]
    if len(evaluation.class_names) > 5:  # of five classes the true one is always among the first five
        low, high = evaluation.top5_interval
        rows.append(("top-5", f"{_percent(evaluation.top5)}  (95 % interval {_percent(low)} to {_percent(high)})"))
    rows += [
        (
            "loss",
            f"{evaluation.loss_after:.3f} with the model's temperature {evaluation.temperature:.3f}, "
            f"{evaluation.loss_before:.3f} without",
        ),
        (
            "calibration error",
            f"{_percent(evaluation.ece_after)} with it, {_percent(evaluation.ece_before)} without "
            f"({_bins(len(evaluation.after))} of equally many pictures)",
        ),
    ]
    absent = _absent(evaluation)
    if absent:
        some = ", ".join(absent[:10]) + (f" and {len(absent) - 10} more" if len(absent) > 10 else "")
        rows.append(("no pictures of", some))
    return rows


def _chosen_on(evaluation: "Evaluation") -> list[str]:
    """Return what is to be said of pictures that the run was validated on, if there are any."""
    chosen = evaluation.overlap.validated_on if evaluation.overlap else 0
    if not chosen:
        return []
    these = "these pictures" if chosen == evaluation.images else f"{chosen} of these pictures"
    return [
        f"The best epoch and the temperature were chosen on {these}, so the figures flatter;",
        "for fair ones name pictures that training has not seen: finetune evaluate RUN --data FOLDER",
    ]


def _bins(count: int) -> str:
    return "1 bin" if count == 1 else f"{count} bins"


def _absent(evaluation: "Evaluation") -> list[str]:
    classes = zip(evaluation.class_names, evaluation.per_class, strict=True)
    return [name for name, figures in classes if not figures.support]


def _classes(evaluation: "Evaluation") -> list[tuple[str, ...]]:
    header = ("class", "pictures", "precision", "recall", "F1")
    rows = [
        (name, str(figures.support), *map(_percent, (figures.precision, figures.recall, figures.f1)))
        for name, figures in zip(evaluation.class_names, evaluation.per_class, strict=True)
        if figures.support
    ]
    return [header, *rows]


def _matrix(evaluation: "Evaluation") -> str:
    counts = [list(map(str, row)) for row in evaluation.confusion.tolist()]
    rows = [(name, *row) for name, row in zip(evaluation.class_names, counts, strict=True)]
    return table("l" + "r" * len(rows), [("", *evaluation.class_names), *rows])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
