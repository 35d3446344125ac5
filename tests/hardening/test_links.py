"""Links between the documents lead to files and headings that exist, in the repository and on the site."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)")
FILES = [
    *ROOT.glob("*.md"),
    *(
        path
        for folder in ("docs", "benchmarks", "examples", "weights", "tests")
        for path in ROOT.glob(f"{folder}/*.md")
    ),
]


def headings(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub and MkDocs name them."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", [str(path.relative_to(ROOT)) for path in sorted(FILES)])
def test_the_links_of_a_document(document: str) -> None:
    path = ROOT / document
    for target, place in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in target:
            led_to = (path.parent / target).resolve() if target else path
            assert led_to.exists(), target
            assert not place or place in headings(led_to), f"{target}#{place}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {target for target, _ in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert {f"docs/{path.name}" for path in ROOT.glob("docs/*.md")} <= linked


def test_links_become_links_between_pages() -> None:
    pytest.importorskip("mkdocs")
    import runpy

    with_page_links = runpy.run_path(str(ROOT / "tools/site_pages.py"))["with_page_links"]
    assert (
        with_page_links("[a](docs/data.md#groups) ![b](docs/b.png)", "README.md") == "[a](data.md#groups) ![b](b.png)"
    )
    assert with_page_links("[a](../SECURITY.md), [b](../cli.py), [c](x.md)", "docs/data.md") == (
        "[a](security.md), b, [c](x.md)"
    )
    assert with_page_links("[a](#b) [c](https://x.org/#y)", "README.md") == "[a](#b) [c](https://x.org/#y)"
