"""`finetune report`."""

from pathlib import Path
from typing import Annotated

import typer

from finetune.cli.options import RunDirectory, Verbose


def report(
    run: RunDirectory,
    confusion: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the confusion matrix for a paper, too: .png, .pdf or .svg."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Write a run's report.html again, from its files alone.

    Examples:
      finetune report runs/insects
      finetune report runs/insects --confusion confusion.pdf
    """
    from finetune.evaluation.report import write_report

    if confusion:
        from finetune.evaluation.confusion_figure import write_confusion

        write_confusion(run, confusion, "--confusion")
    print(write_report(run))
    if confusion:
        print(confusion)
