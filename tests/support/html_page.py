"""A page of HTML as a browser sees it: tags, words, plots, and the rows of its tables."""

import base64
import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser


class Page(HTMLParser):
    """The tags and attributes of a page as a browser sees them, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.words += " "

    def handle_data(self, data: str) -> None:
        self.words += data

    def plots(self) -> Iterator[str]:
        for tag, attributes in self.tags:
            prefix, _, content = (attributes.get("src") or "").partition(",")
            if tag == "img" and prefix == "data:image/svg+xml;base64":
                yield base64.b64decode(content).decode()


def table_rows(page: str, tag: str) -> list[str]:
    """Return the text of each table row that begins with `tag`, cells separated by single spaces."""
    found = re.findall(rf"{tag}(.*?)</tr>", page, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", row)).split()) for row in found]
