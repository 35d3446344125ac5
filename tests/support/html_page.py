"""A page of HTML as a browser sees it: tags, words, plots, and the rows of its tables."""

import html
import re
from html.parser import HTMLParser

UNREAD = ("style", "svg")


class Page(HTMLParser):
    """The tags and attributes of a page as a browser sees them, and its text without that of styles and plots."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.text = text
        self.unread = 0  # how many styles and plots are open here
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.words += " "
        self.unread += tag in UNREAD

    def handle_endtag(self, tag: str) -> None:
        self.unread -= tag in UNREAD

    def handle_data(self, data: str) -> None:
        self.words += data if not self.unread else ""

    def plots(self) -> list[str]:
        return re.findall(r"<svg.*?</svg>", self.text, re.DOTALL)


def table_rows(page: str, tag: str) -> list[str]:
    """Return the text of each table row that begins with `tag`, cells separated by single spaces."""
    found = re.findall(rf"{tag}(.*?)</tr>", page, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", row)).split()) for row in found]
