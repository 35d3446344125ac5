"""A hook of MkDocs: the documents outside docs/ become pages of the site, and links between documents lead to pages.

In the repository, links are relative to the file, as everywhere. A link to a file that is not a page, such as a script,
becomes its text.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/tried.md": "tried.md",
    "examples/explanations.md": "explanations.md",
    "tests/README.md": "faults.md",
    "weights/README.md": "starter.md",
}
SOURCES = {page: source for source, page in PAGES.items()}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the documents outside docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text with links that lead to pages."""
    path = page.file.src_uri
    return with_page_links(markdown, SOURCES.get(path, f"docs/{path}"))


def with_page_links(markdown: str, source: str) -> str:
    """Return the text of a document, given by its path in the repository, with links to pages."""

    def replace(match: re.Match[str]) -> str:
        mark, text, target, place = match.groups()
        if "://" in target:
            return match[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        page = PAGES.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
        return f"{mark}[{text}]({page}{place or ''})" if page else text

    return LINK.sub(replace, markdown)
