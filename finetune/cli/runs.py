"""`finetune runs`: list, compare."""

import json
import logging
import shlex
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetune.cli.command import Command, CommandGroup
from finetune.cli.options import Json, Verbose
from finetune.cli.safe_text import printable
from finetune.cli.terminal import Table, shortened, show, width

if TYPE_CHECKING:
    from finetune.runs.compare_runs import RunComparison
    from finetune.runs.list_runs import ListedRun
    from finetune.runs.overview import RunOverview, RunResults

logger = logging.getLogger(__name__)

COLUMNS = ("run", "when", "data", "trained", "accuracy in %")
SHRINK = ((0, 20), (2, 8), (3, 10))
WHEN = 1  # runs without --out have the time in their name
LONGEST_VALUE = 40  # of a changed option: a path need not push the others off the line
INDENT = "    "


class _ListByDefault(CommandGroup):
    """A group in which `list` need not be written: `finetune runs DIR` is `finetune runs list DIR`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` in front of anything but a command or --help; a completing shell gets the commands."""
        named = bool(args) and args[0] in (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if named or ctx.resilient_parsing else ["list", *args])


app = typer.Typer(
    cls=_ListByDefault,
    subcommand_metavar="[DIR] | COMMAND [ARGS]...",
    help="List and compare runs: runs DIR is short for runs list DIR.",
    add_completion=False,
    rich_markup_mode=None,
)


@app.command("list", cls=Command)
def list_runs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with run directories.")] = Path("runs"),
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List the runs in a folder, oldest first, and what each changes.

    The options below a run are those that differ from the run above it. The accuracy has its 95 % interval. --json has
    all results and options.

    Examples:
      finetune runs list
      finetune runs list runs --json
    """
    from finetune.runs.list_runs import list_runs as listed_runs

    runs = listed_runs(folder)
    if as_json:
        print(json.dumps({"runs": [run.to_json() for run in runs]}))
    elif runs:
        show(_list(runs, width()))
    else:
        logger.warning("%s has no runs; make one with finetune train --data DIR --out %s", folder, folder / "NAME")


@app.command(cls=Command)
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Run directory.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Run directory to compare it with.")],
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show in which options two runs differ, and their results.

    Examples:
      finetune runs compare runs/probe runs/fc8
      finetune runs compare runs/probe runs/fc8 --json
    """
    from finetune.runs.compare_runs import compare_runs

    comparison = compare_runs(first, second)
    if as_json:
        print(json.dumps(comparison.to_json()))
    else:
        show(*_comparison(comparison, width()))


def _list(runs: "Sequence[ListedRun]", width: int) -> Table:
    """Return the table, with the lines about each run below its row."""
    rows = [COLUMNS, *(_row(listed.run) for listed in runs)]
    notes = [_notes(listed, width) for listed in runs]
    return Table("l" * len(COLUMNS), rows, optional=(WHEN,), shrink=SHRINK, notes=notes)


def _row(run: "RunOverview") -> tuple[str, ...]:
    accuracy = _accuracy(run.results) if run.results else run.status
    return run.name, f"{run.when:%Y-%m-%d %H:%M}", run.data, run.trained, accuracy


def _accuracy(results: "RunResults") -> str:
    low, high = results.interval
    return f"{100 * results.accuracy:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _notes(listed: "ListedRun", width: int) -> list[str]:
    """Return the lines below a run: why it is damaged, or that it was interrupted and what it changes, in one line."""
    run, room = listed.run, max(20, width - len(INDENT))
    if run.problem:
        return [INDENT + line for line in wrap(printable(run.problem), room, break_on_hyphens=False)]
    changes = [_change(name, value) for name, value in listed.changed.items()]
    notes = [f"interrupted after epoch {run.epochs}"] if run.status == "interrupted" else []
    notes += ["other images or splits"] if listed.other_images else []
    return [INDENT + _fitting([*notes, *changes], room)] if notes or changes else []


def _change(name: str, value: Any) -> str:
    """Return `--epochs 50`, or `without --patience` for an option that is not given."""
    from finetune.config import TrainConfig
    from finetune.option_rules import flag
    from finetune.runs.provenance import option_words

    value = tuple(value) if isinstance(value, list) else value
    if not value and value == getattr(TrainConfig, name, None):
        return f"without {flag(name)}"
    return shortened(printable(shlex.join(option_words(name, value))), LONGEST_VALUE)


def _fitting(texts: list[str], room: int) -> str:
    """Return as many of the texts as fit into a line, and how many more there are."""
    for count in range(len(texts), 0, -1):
        more = f" and {len(texts) - count} more" if count < len(texts) else ""
        line = ", ".join(texts[:count]) + more
        if len(line) <= room:
            return line
    return shortened(line, room)


def _comparison(comparison: "RunComparison", width: int) -> list[Table | str]:
    """Return both runs side by side: options, then results, then whether the results can be compared."""
    rows = [*_option_rows(comparison), *_result_rows(comparison.first, comparison.second)]
    shown = Table("lll", rows, shrink=((1, 25), (2, 25), (1, 16), (2, 16)))  # no less than an accuracy
    first, second = comparison.first.results, comparison.second.results
    if comparison.same_images or not (first and second):
        return [shown]
    both = f"{comparison.shared_images:,}" if comparison.shared_images else "none"
    warning = (
        f"The two runs were measured on different images ({first.images:,} and {second.images:,}, of which {both} are "
        "in both), so their results cannot be compared. To compare them, evaluate both on images that neither was "
        "trained on: finetune evaluate RUN --data DIR"
    )
    return [shown, "\n".join(wrap(warning, min(width, 100), break_on_hyphens=False))]


def _option_rows(comparison: "RunComparison") -> Iterator[tuple[str, ...]]:
    """Yield the names of two runs, what was trained, and the options and versions that differ."""
    from finetune.config import TrainConfig
    from finetune.option_rules import flag

    runs = comparison.first, comparison.second
    yield ("", *(run.name for run in runs))
    yield ("trained", *(run.trained for run in runs))
    for name, values in comparison.differing.items():
        yield (flag(name) if name in TrainConfig.__dataclass_fields__ else name, *map(_value, values))


def _result_rows(*runs: "RunOverview") -> Iterator[tuple[str, ...]]:
    """Yield the results of runs, and how far they are if one is not finished."""
    if any(run.status != "finished" for run in runs):
        yield ("status", *(run.status for run in runs))
    results = [_results(run.results) if run.results else repeat("-") for run in runs]
    yield from zip(("images", "accuracy in %", "loss", "temperature", "calibration error in %"), *results, strict=False)


def _results(results: "RunResults") -> tuple[str, ...]:
    return (
        f"{results.images:,}",
        _accuracy(results),
        f"{results.loss:.3f}",
        f"{results.temperature:.3f}",
        f"{100 * results.calibration_error:.1f}",
    )


def _value(value: Any) -> str:
    """Return the value of an option for people."""
    match value:
        case None | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ",".join(map(str, value))
    return str(value)
