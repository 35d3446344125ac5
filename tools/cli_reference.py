"""Write docs/cli.md: the help of every command, as `--help` shows it on a terminal of 80 columns.

    python tools/cli_reference.py

A test fails while the file differs from what this writes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from finetune.cli.app import app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
COLUMNS = 80
HEAD = """# Every option

What `finetune COMMAND --help` shows. This page is written by `python tools/cli_reference.py`; do not edit it.
"""


def reference() -> str:
    """Return the page, in Markdown: a heading for each command, and its help."""
    sections = (f"\n## {words}\n\n```text\n{text}\n```\n" for words, text in help_texts(get_command(app), "finetune"))
    return HEAD + "".join(sections)


def help_texts(command: Any, words: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    """Yield the words and the help of a command, then of those below it."""
    context = command.context_class(command, info_name=words.split()[-1], parent=parent, **command.context_settings)
    context.terminal_width = COLUMNS - 2  # what Typer takes of a terminal of 80 columns
    yield words, command.get_help(context)
    for name, below in getattr(command, "commands", {}).items():
        yield from help_texts(below, f"{words} {name}", context)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
