"""`finetune evaluate`."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.choices import SplitName
from finetune.cli.options import Json, RunDirectory, Verbose
from finetune.cli.terminal import Table, fits, is_terminal, show
from finetune.system.text import first_few, percent

if TYPE_CHECKING:
    from finetune.evaluation.assess import Evaluation

logger = logging.getLogger(__name__)

MATRIX_CLASSES = 20  # a confusion matrix of more classes is wider than a terminal; --json has it
MOST_CLASSES = 20  # that a terminal shows all of
WORST = 10  # classes that a terminal shows of more, and unreadable images that are named


def evaluate(
    run: RunDirectory,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Folder with one folder per class of the model, MNIST's files, or a list. "
            "[default: the images of the run]",
        ),
    ] = None,
    split: Annotated[
        SplitName | None,
        typer.Option(
            help="The split to evaluate: the folder of that name in --data, the lines of a CSV that name it, or "
            "MNIST's files, of which t10k is test; without --data, train or val of the run. "
            "[default: the validation images of --data, otherwise its test images, otherwise all]"
        ),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure a run's model: accuracy, confusion, calibration.

    Examples:
      finetune evaluate runs/insects --split train
      finetune evaluate runs/insects --data images --json
    """
    from finetune.cli.unread_inputs import end_if_unread
    from finetune.data.unread import Unread
    from finetune.evaluation.evaluate import evaluate as evaluate_run

    evaluation = evaluate_run(run, data, split)
    if as_json:
        print(json.dumps(evaluation.to_json()))
    else:
        show(*_report(evaluation))
    _warn_about_training_images(evaluation, run)
    unread = Unread()
    for path, reason in evaluation.unreadable:
        unread.add(reason)
        if unread.counts.total() <= WORST:
            logger.warning("not read: %s: %s", path, reason)
    end_if_unread(unread, evaluation.images + len(evaluation.unreadable), "evaluate --json")


def _warn_about_training_images(evaluation: "Evaluation", run: Path) -> None:
    overlap = evaluation.overlap
    if overlap is None:
        logger.warning("it is not known whether the model was trained on these images: those of %s are not here", run)
    elif overlap.trained_on:
        logger.warning(
            "the model was trained on %d of these %d images, so the metrics are too optimistic",
            overlap.trained_on,
            evaluation.images,
        )


def _report(evaluation: "Evaluation") -> list[str | Table]:
    """Return the metrics as tables."""
    overall = Table("ll", _overall(evaluation), header=False, below="\n".join(_selection_note(evaluation)))
    return [overall, _classes(evaluation), *_matrix(evaluation)]


def _overall(evaluation: "Evaluation") -> list[tuple[str, str]]:
    """Return the rows about all classes together."""
    unreadable = f", and {len(evaluation.unreadable)} that could not be read" if evaluation.unreadable else ""
    low, high = evaluation.top1_interval
    rows = [("top-1", f"{percent(evaluation.top1)}  (95 % interval {percent(low)} to {percent(high)})")]
    if len(evaluation.class_names) > 5:  # with five classes or fewer, the true one is always among the first five
        low, high = evaluation.top5_interval
        rows.append(("top-5", f"{percent(evaluation.top5)}  (95 % interval {percent(low)} to {percent(high)})"))
    bins = len(evaluation.after)
    loss, before = f"{evaluation.loss_after:.3f}", ""
    if evaluation.temperature != 1:
        loss += f" with the model's temperature {evaluation.temperature:.3f}, {evaluation.loss_before:.3f} without"
        before = f"{percent(evaluation.ece_before)} without the temperature; "
    rows += [
        ("images", f"{evaluation.images}{unreadable}"),
        ("loss", loss),
        (
            "calibration error",
            f"{percent(evaluation.ece_after)} (a perfectly calibrated model would show "
            f"{percent(evaluation.ece_floor)} on this many images)",
        ),
        ("", f"{before}{'1 bin' if bins == 1 else f'{bins} bins'} with equal numbers of images"),
    ]
    absent = [
        name for name, metrics in zip(evaluation.class_names, evaluation.per_class, strict=True) if not metrics.support
    ]
    return [*rows, ("no images of", first_few(absent))] if absent else rows


def _selection_note(evaluation: "Evaluation") -> list[str]:
    """Return a note if the best epoch or the temperature was chosen on some of these images."""
    count = evaluation.overlap.validated_on if evaluation.overlap else 0
    if not count or evaluation.kept == "probe":
        return []  # cross-validation on the training images chose everything
    if evaluation.kept == "last" and evaluation.temperature == 1:
        return []  # nothing was chosen
    these = "these images" if count == evaluation.images else f"{count} of these images"
    if evaluation.kept == "last":
        return [
            f"Only the temperature was chosen on {these}: it does not change the accuracy, but the loss and the "
            "calibration error are slightly optimistic."
        ]
    return [
        f"The best epoch and the temperature were chosen on {these}, so the metrics are slightly optimistic;",
        "for unbiased ones, use images that training has not used: finetune evaluate RUN --data FOLDER",
    ]


def _classes(evaluation: "Evaluation") -> Table:
    """Return the metrics of every class that has images; of many, a terminal shows those with the lowest F1."""
    found = [
        (name, metrics)
        for name, metrics in zip(evaluation.class_names, evaluation.per_class, strict=True)
        if metrics.support
    ]
    count, below = len(found), ""
    if is_terminal() and count > MOST_CLASSES:
        found = sorted(found, key=lambda item: item[1].f1)[:WORST]
        below = f"the {WORST} classes with the lowest F1; evaluate --json has all {count:,}"
    header = ("class", "images", "precision", "recall", "F1")
    rows = [
        (name, str(metrics.support), *map(percent, (metrics.precision, metrics.recall, metrics.f1)))
        for name, metrics in found
    ]
    return Table("lrrrr", [header, *rows], below=below)


def _matrix(evaluation: "Evaluation") -> list[Table | str]:
    """Return the confusion matrix unless there are too many classes; with numbers in its head if names do not fit."""
    names = evaluation.class_names
    if len(names) > MATRIX_CLASSES:
        return []
    counts = [list(map(str, row)) for row in evaluation.confusion.tolist()]
    align, above = "l" + "r" * len(names), "true class by row, predicted class by column"
    named = Table(align, [("", *names), *((name, *row) for name, row in zip(names, counts, strict=True))], above=above)
    numbers = list(map(str, range(1, len(names) + 1)))
    rows = ((f"{number} {name}", *row) for number, name, row in zip(numbers, names, counts, strict=True))
    numbered = Table(align, [("", *numbers), *rows], above=f"{above}, by its number")
    fitting = next(filter(fits, (named, numbered)), None)
    return [fitting or "the confusion matrix is wider than this terminal; evaluate --json has it"]
