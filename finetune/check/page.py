"""check.html: what was found, with small copies of the pictures in question, every name escaped."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment

from finetune.check.check import Check
from finetune.check.finding import KINDS, Finding
from finetune.data.thumbnails import thumbnails
from finetune.system.atomic import replacing

SHOWN = 24  # findings of a kind with pictures, …
COPIES = 6  # … and pictures of a finding: about 150 kB a kind; --json has all


def write_page(check: Check, path: Path) -> None:
    """Write the page, self-contained, whole or not at all."""
    pictured = [file for kind in KINDS for finding in check.of(kind)[:SHOWN] for file in _pictured(finding)]
    small = thumbnails(pictured)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("finetune.check").joinpath("check.html.j2").read_text(encoding="utf-8"))
    page = template.render(
        data=check.data,
        files=len(check.seen),
        counts=check.counts,
        readable=sum(sides.total() for sides in check.counts.values()),
        accuracy=check.accuracy,
        sections=[
            (heading, [_section(check, kind, small) for kind in KINDS if KINDS[kind].hard == hard and check.of(kind)])
            for hard, heading in ((True, "Hard: will hurt training"), (False, "Soft: worth knowing"))
        ],
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace", newline="")


def _pictured(finding: Finding) -> tuple[Path, ...]:
    """Return the files to show small; those that cannot be decoded, or are no pictures, are only named."""
    return () if finding.kind in ("unreadable", "passed-over") else finding.paths[:COPIES]


def _section(check: Check, kind: str, small: dict[str, str]) -> dict[str, Any]:
    findings = check.of(kind)
    return {
        "title": KINDS[kind].title,
        "advice": KINDS[kind].advice,
        "count": len(findings),
        "more": len(findings[SHOWN:]),
        "pictured": bool(findings[0].paths) and kind not in ("unreadable", "passed-over"),
        "findings": [
            {
                "message": finding.message,
                "files": [(_name(file, check.data), small.get(str(file))) for file in finding.paths[:COPIES]],
                "more": len(finding.paths[COPIES:]),
            }
            for finding in findings[:SHOWN]
        ],
    }


def _name(file: Path, data: Path) -> str:
    return str(file.relative_to(data) if file.is_relative_to(data) else file)
