"""`finetune report`."""

from finetune.cli.options import RunDirectory, Verbose


def report(run: RunDirectory, verbose: Verbose = False) -> None:
    """Write a run's report.html again, from its files alone.

    Examples:
      finetune report runs/insects
      finetune report runs/insects --verbose
    """
    from finetune.evaluation.report import write_report

    print(write_report(run))
