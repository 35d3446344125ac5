"""`finetune check`."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.choices import WEIGHTS_NAMES
from finetune.cli.options import Json, Overwrite, Verbose, completes
from finetune.cli.safe_text import printable
from finetune.cli.terminal import Table, is_terminal, show
from finetune.errors import FinetuneError, UsageError
from finetune.system.output_file import check_output_file
from finetune.system.text import first_few, percent

if TYPE_CHECKING:
    from finetune.check.check import Check
    from finetune.check.finding_kinds import Finding

logger = logging.getLogger(__name__)

EXAMPLES = 3  # of each kind in the table; --json and --html have more
MOST_CLASSES = 20  # that a terminal shows all of
EXTREMES = 10  # of more classes, those with the most and with the fewest images


def check(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Folder with one folder per class, or a list, as for train.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Run, model file or name of published weights, to find labels that may be wrong. [default: no model]",
            autocompletion=completes(*WEIGHTS_NAMES),
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page (.html) that shows the images in question.")
    ] = None,
    write_list: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a list (.csv) for train --data without unreadable files and extra copies."
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Find problems in your images that will hurt training.

    These are damaged files, copies, odd images and classes, and with --model doubtful labels. Images are only read,
    never changed, moved or deleted.

    Examples:
      finetune check images --html check.html
      finetune check images --write-list clean.csv
    """
    _check_output(data, "--html", html, ".html", overwrite)
    _check_output(data, "--write-list", write_list, ".csv", overwrite)
    from finetune.check.check import check as check_data

    checked = check_data(data, model)
    _write(checked, html, write_list)
    if as_json:
        print(json.dumps(checked.to_json()))
    else:
        show(*_report(checked))


def _check_output(data: Path, option: str, path: Path | None, suffix: str, overwrite: bool) -> None:
    """Raise UsageError if `path` is in the data, and as `check_output_file`, before the long pass over the images."""
    if path is None:
        return
    if path.resolve() == data.resolve() or (data.is_dir() and path.resolve().is_relative_to(data.resolve())):
        raise UsageError(f"{option} {path} is in the data; choose a place outside {data}")
    check_output_file(path, (suffix,), overwrite=overwrite, option=option)


def _write(checked: "Check", html: Path | None, write_list: Path | None) -> None:
    """Write the page and the list that were asked for, and log their names."""
    try:
        if html:
            from finetune.check.page import write_page

            write_page(checked, html)
            logger.info("page %s", html)
        if write_list:
            from finetune.check.clean_list import write_clean_list

            logger.info("list %s: %s", write_list, write_clean_list(checked, write_list))
    except OSError as error:
        raise FinetuneError(f"{error.filename} cannot be written ({error.strerror}); choose another place") from None


def _report(checked: "Check") -> list[str | Table]:
    """Return the classes and the findings as tables."""
    from finetune.check.finding_kinds import KINDS

    readable = sum(counts.total() for counts in checked.counts.values())
    parts: list[str | Table] = [
        f"{printable(str(checked.data))}: {len(checked.looks)} images, {readable} readable",
        _classes(checked),
    ]
    for hard, heading in ((True, "hard: will hurt training"), (False, "soft: worth knowing")):
        rows = []
        for kind in (name for name, about in KINDS.items() if about.hard == hard):
            rows += _rows(KINDS[kind].title, checked.of(kind), checked.data)
        parts.append(Table("lrl", rows, header=False, above=heading) if rows else f"{heading}: nothing found")
    if checked.accuracy is not None:
        parts.append(
            f"labels were doubted by a head that is right for {percent(checked.accuracy, 0)} of held-out images"
        )
    return parts


def _classes(checked: "Check") -> Table:
    """Return how many images each class has; of many, a terminal shows those with the most and the fewest."""
    classes, splits, below = list(checked.counts.items()), checked.splits(), ""
    if is_terminal() and len(classes) > MOST_CLASSES:
        ordered = sorted(classes, key=lambda item: -item[1].total())
        classes = ordered[:EXTREMES] + ordered[-EXTREMES:]
        below = (
            f"the {EXTREMES} classes with the most images and the {EXTREMES} with the fewest; check --json has all "
            f"{len(ordered):,}"
        )
    rows = [(name, *(str(counts[split]) for split in splits)) for name, counts in classes]
    return Table("l" + "r" * len(splits), [("class", *splits), *rows], below=below)


def _rows(title: str, findings: "tuple[Finding, ...]", data: Path) -> list[tuple[str, str, str]]:
    """Return the rows of one kind: the first with its title and count, then more examples."""
    if not findings:
        return []
    examples = [_line(finding, data) for finding in findings[:EXAMPLES]]
    if len(findings) > EXAMPLES:
        examples.append(f"and {len(findings) - EXAMPLES} more")
    return [(f"  {title}", str(len(findings)), examples[0]), *(("", "", example) for example in examples[1:])]


def _line(finding: "Finding", data: Path) -> str:
    """Return the files and the message of a finding."""
    names = [str(path.relative_to(data) if path.is_relative_to(data) else path) for path in finding.paths]
    return f"{first_few(names, EXAMPLES, ' = ')}: {finding.message}" if names else finding.message
