"""The `finetune check` command. Nothing heavy is imported at the top."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.choices import WEIGHTS_NAMES
from finetune.cli.options import completes
from finetune.cli.output import Verbose, printable
from finetune.errors import FinetuneError, UsageError
from finetune.system.table import table

if TYPE_CHECKING:
    from finetune.check.check import Check
    from finetune.check.finding_kinds import Finding

logger = logging.getLogger(__name__)

EXAMPLES = 3  # of each kind in the table; --json and --html have all


def check(
    data: Annotated[Path, typer.Argument(help="Folder with a folder per class, or a list, as for train.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Run, model file or name of published weights: it doubts labels. [default: no model]",
            autocompletion=completes(*WEIGHTS_NAMES),
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the pictures in question.")] = None,
    write_list: Annotated[
        Path | None,
        typer.Option(help="Write a list (.csv) for train --data without unreadable files and extra copies."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files to write.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
    verbose: Verbose = False,
) -> None:
    """Look for what will hurt training: broken files, copies, odd pictures and classes, doubtful labels.

    Pictures are only read, never changed, moved or deleted.
    """
    _refuse_place(data, "--html", html, ".html", overwrite)
    _refuse_place(data, "--write-list", write_list, ".csv", overwrite)
    from finetune.check.check import check as check_data

    checked = check_data(data, model)
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
    print(json.dumps(checked.to_json()) if as_json else _report(checked))


def _refuse_place(data: Path, option: str, path: Path | None, suffix: str, overwrite: bool) -> None:
    """Raise UsageError for a file that must not be written, before the long pass: the data stays as it is."""
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise UsageError(f"{option} {path}: expected a name that ends with {suffix}")
    if path.resolve() == data.resolve() or (data.is_dir() and path.resolve().is_relative_to(data.resolve())):
        raise UsageError(f"{option} {path} lies in the data; choose a place outside {data}")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}; make it or choose another place")
    if path.is_dir() or (path.exists() and not overwrite):
        raise UsageError(f"{option} {path} exists already; choose another name, or --overwrite to replace it")


def _report(checked: "Check") -> str:
    from finetune.check.finding_kinds import KINDS

    readable = sum(sides.total() for sides in checked.counts.values())
    classes = [(name, str(sides["train"]), str(sides["val"])) for name, sides in checked.counts.items()]
    parts = [
        f"{printable(str(checked.data))}: {len(checked.looks)} pictures, {readable} readable",
        table("lrr", [("class", "train", "val"), *((printable(name), *sides) for name, *sides in classes)]),
    ]
    for hard, heading in ((True, "hard: will hurt training"), (False, "soft: worth knowing")):
        rows = []
        for kind in (name for name, about in KINDS.items() if about.hard == hard):
            rows += _rows(KINDS[kind].title, checked.of(kind), checked.data)
        parts.append(f"{heading}\n{table('lrl', rows)}" if rows else f"{heading}: nothing found")
    if checked.accuracy is not None:
        parts.append(
            f"labels were doubted by a head that is right for {checked.accuracy:.0%} of the pictures it has not seen"
        )
    return "\n\n".join(parts)


def _rows(title: str, findings: "tuple[Finding, ...]", data: Path) -> list[tuple[str, str, str]]:
    """Return the rows of one kind: the first with its title and number, then more examples."""
    if not findings:
        return []
    examples = [printable(_words(finding, data)) for finding in findings[:EXAMPLES]]
    if len(findings) > EXAMPLES:
        examples.append(f"and {len(findings) - EXAMPLES} more")
    return [(f"  {title}", str(len(findings)), examples[0]), *(("", "", example) for example in examples[1:])]


def _words(finding: "Finding", data: Path) -> str:
    shown = [str(path.relative_to(data) if path.is_relative_to(data) else path) for path in finding.paths]
    more = f" and {len(shown) - EXAMPLES} more" if len(shown) > EXAMPLES else ""
    return f"{' = '.join(shown[:EXAMPLES])}{more}: {finding.message}" if shown else finding.message
