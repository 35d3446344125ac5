"""The documents: the blocks of commands in them, and which of these run."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md") if path.name != "cli.md")]

_FENCE = re.compile(r"^(<!-- run -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language, its text, and whether it runs in the tests."""

    language: str
    text: str
    runs: bool

    @property
    def commands(self) -> list[str]:
        """The lines that a shell reads; those of a console begin with `$ `."""
        lines = self.text.splitlines()
        if self.language == "console":
            return [line[2:] for line in lines if line.startswith("$ ")]
        return lines if self.language == "sh" else []


def blocks(document: str) -> list[Block]:
    """Return the fenced blocks of a document, given by its path in the repository."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [Block(language, content, bool(mark)) for mark, language, content in _FENCE.findall(text)]
