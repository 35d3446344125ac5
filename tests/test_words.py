"""The words of help, errors, log lines, pages, documents, docstrings and comments: those that users and readers expect.

Checked are all strings with a space in them (a string without one is a name or a key), and all comments.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.main import get_command

from finetune.cli.app import app

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "finetune"
PARTS = ["finetune", *sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())]
DOCUMENTS = [
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")),
]

COMPARATIVES = "longer|more|less|larger|smaller|higher|lower|faster|slower|better|worse"

# A regular expression for words that are not used, and the words to use instead.
INSTEAD = {
    r"pictures?|pictured": "image",
    r"mend|mends|mended|mending": "fix",
    r"(go|goes|going|went|gone) on": "resume, continue",
    rf"(?<!there )(is|are|was|were) no(?! ({COMPARATIVES})\b)": "is not a, has no, there is no",
    r"told|tells|telling": "report, warn, list, say; for a difference, distinguish",
    r"passed over": "skipped",
    r"(leave|leaves|leaving|left) (it |them |one )?out": "skip, exclude, omit",
    r"anew": "again",
    r"judg(e|es|ed|ing|ement|ment)": "evaluate, measure, compare",
    r"besides?": "next to, in addition to, apart from",
    r"what (is|was) there": "existing files",
    r"stands? in(?! for)": "is in",
    r"(?<!must )lies? in": "is in",
    r"one of our own": "finetune's own",
    r"in the midst": "in the middle of, during",
    r"lest": "so that … not",
    r"(?<!thing )(?<!body )(?<!one )(?<!where )else(?=[.;)]|$)": "otherwise",
    r"that (is|are) gone": "that no longer exists",
    r"until now": "before",
}
UNWANTED = [(re.compile(rf"\b(?:{words})(?!\w)", re.IGNORECASE), better) for words, better in INSTEAD.items()]


class Text(NamedTuple):
    """A piece of text and where it is."""

    place: str
    text: str


def faults(texts: Iterator[Text]) -> list[str]:
    """Return a line for every unwanted word, with its place and what to write instead."""
    found = []
    for place, text in texts:
        for pattern, better in UNWANTED:
            found += [f"{place}: “{match[0].strip()}”; use: {better}" for match in pattern.finditer(_joined(text))]
    return found


def _joined(text: str) -> str:
    """Return the text in one line, without the names in `backquotes`."""
    return " ".join(re.sub(r"`[^`]*`", "`…`", text).split())


def python_texts(path: Path) -> Iterator[Text]:
    """Yield the strings and the comments of a module; neighbouring lines of comments are one text."""
    source, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield Text(f"{name}:{node.lineno}", node.value)
    block, start, last = "", 0, -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1:
            yield Text(f"{name}:{start}", block)
            block, start = "", token.start[0]
        block, last = f"{block} {token.string.lstrip('# ')}", token.start[0]
    yield Text(f"{name}:{start}", block)


def template_texts(path: Path) -> Iterator[Text]:
    """Yield the text of a template, line by line, without its styles, tags and expressions."""
    source = path.read_text(encoding="utf-8")
    hidden = r"<style.*?</style>|<svg.*?</svg>|\{\{.*?\}\}|\{%.*?%\}|<[^>]*>"
    visible = re.sub(hidden, lambda match: "\n" * match[0].count("\n"), source, flags=re.DOTALL)
    for number, line in enumerate(visible.splitlines(), start=1):
        yield Text(f"{path.relative_to(ROOT)}:{number}", line)


def document_texts(path: Path) -> Iterator[Text]:
    """Yield the paragraphs of a Markdown document, except the table of words in CONTRIBUTING.md."""
    start, block = 1, ""
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), ""], start=1):
        if line.strip():
            start, block = (start, f"{block} {line}") if block else (number, line)
        else:
            if block and not block.startswith("| use | not |"):
                yield Text(f"{path.relative_to(ROOT)}:{start}", block)
            block = ""


def help_texts(command: Any, words: str = "finetune") -> Iterator[Text]:
    """Yield the help of a command, of its options, and of the commands below it."""
    texts = [command.help, command.epilog, *(getattr(option, "help", "") for option in command.params)]
    yield from (Text(f"{words} --help", text) for text in texts if text)
    for name, below in getattr(command, "commands", {}).items():
        yield from help_texts(below, f"{words} {name}")


@pytest.mark.parametrize("part", PARTS)
def test_the_package(part: str) -> None:
    modules = PACKAGE.glob("*.py") if part == "finetune" else (PACKAGE / part).rglob("*.py")
    templates = () if part == "finetune" else (PACKAGE / part).rglob("*.j2")
    found = [line for path in sorted(modules) for line in faults(python_texts(path))]
    found += [line for path in sorted(templates) for line in faults(template_texts(path))]
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents(name: str) -> None:
    found = faults(document_texts(ROOT / name))
    assert not found, "\n".join(["", *found])


def test_the_help() -> None:
    found = faults(help_texts(get_command(app)))
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    "text",
    [
        "3 pictures were skipped",
        "x.png is no image",
        "what was there is told",
        "the file goes\n    on",
        "read it now; it is skipped else.",
        "leave it out",
    ],
)
def test_unwanted_words_are_found(text: str) -> None:
    assert faults(iter([Text("a.py:1", text)]))


@pytest.mark.parametrize(
    "text",
    ["x.png is not an image", "it is no longer used", "there is no network 'x'", "a class `pictures`", "else it fails"],
)
def test_ordinary_words_are_not(text: str) -> None:
    assert faults(iter([Text("a.py:1", text)])) == []
