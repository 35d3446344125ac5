"""check.html: what was found, with thumbnails of the images in question and every name escaped."""

from pathlib import Path
from typing import Any

from finetune.check.check import Check
from finetune.check.finding_kinds import KINDS, Finding
from finetune.data.dataset import LabelledFile
from finetune.data.thumbnails import thumbnails
from finetune.system.atomic import replacing
from finetune.system.page_template import page_template

SHOWN = 24  # findings of a kind that have thumbnails, …
OPEN = 6  # … the others being folded, …
COPIES = 6  # … and images of a finding: about 150 kB per kind; --json lists them all
OPEN_CLASSES = 40  # more are folded
_NEVER_SHOWN = ("unreadable", "passed-over")  # what cannot be decoded, or is not an image, is only named


def write_page(check: Check, path: Path) -> None:
    """Write the page, self-contained, whole or not at all."""
    shown = [file for kind in KINDS for finding in check.of(kind)[:SHOWN] for file in _shown(finding)]
    small = thumbnails(shown)
    page = page_template("finetune.check", "check.html.j2").render(
        data=check.data,
        files=len(check.looks),
        counts=check.counts,
        splits=check.splits(),
        readable=sum(splits.total() for splits in check.counts.values()),
        accuracy=check.accuracy,
        open=OPEN,
        open_classes=OPEN_CLASSES,
        sections=[
            (heading, [_section(check, kind, small) for kind in KINDS if KINDS[kind].hard == hard and check.of(kind)])
            for hard, heading in ((True, "Hard: will hurt training"), (False, "Soft: worth knowing"))
        ],
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace", newline="")


def _shown(finding: Finding) -> tuple[Path, ...]:
    """Return the files of a finding that get a thumbnail."""
    return () if finding.kind in _NEVER_SHOWN else finding.paths[:COPIES]


def _section(check: Check, kind: str, small: dict[str, str]) -> dict[str, Any]:
    """Return what the template needs for the findings of one kind."""
    findings = check.of(kind)
    labelled = {look.file.path: look.file for look in check.looks}
    return {
        "kind": kind,
        "title": KINDS[kind].title,
        "advice": KINDS[kind].advice,
        "count": len(findings),
        "more": len(findings[SHOWN:]),
        "has_thumbnails": bool(_shown(findings[0])),
        "findings": [
            {
                "message": finding.message,
                "files": [_file(path, check.data, labelled.get(path), small) for path in finding.paths[:COPIES]],
                "more": len(finding.paths[COPIES:]),
            }
            for finding in findings[:SHOWN]
        ],
    }


def _file(path: Path, data: Path, labelled: LabelledFile | None, small: dict[str, str]) -> dict[str, str | None]:
    """Return what the page shows of a file: its name, thumbnail, class and split, as far as it has them."""
    return {
        "name": str(path.relative_to(data) if path.is_relative_to(data) else path),
        "thumbnail": small.get(str(path)),
        "class": labelled.class_name if labelled else None,
        "split": labelled.split if labelled else None,
    }
