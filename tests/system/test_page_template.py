"""Templates of pages: escaped, with filters, blocks without blank lines; and the style that all pages share."""

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest

from finetune.system.page_template import page_template

STYLE = files("finetune.system").joinpath("page.css").read_text(encoding="utf-8").strip()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / f"package_of_{tmp_path.name}"  # a name of its own: Python imports a package once
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "page.html").write_text("{% if true %}\n  {{ name | loud }} é\n{% endif %}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_every_value_is_escaped_and_a_filter_is_applied(package: str) -> None:
    template = page_template(package, "page.html", loud=str.upper)
    assert template.render(name="<b>") == "  &lt;B&gt; é\n"


def test_a_page_holds_the_style_of_all_pages(package: str, tmp_path: Path) -> None:
    blocks = "".join("{% block " + block + " %}{{ name }}{% endblock %}" for block in ("title", "main"))
    (tmp_path / package / "own.html").write_text('{% extends "page.html.j2" %}' + blocks)
    page = page_template(package, "own.html").render(name="<b>")
    assert STYLE in page
    assert "<title>&lt;b&gt;</title>" in page
    assert page.count("&lt;b&gt;") == 2


@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
def test_text_is_readable_on_every_background(number: int) -> None:
    """Its contrast is at least 4.5 : 1, as WCAG 2.2 asks for; the paper shows through a full cell of the matrix."""
    declared = re.findall(r":root {(.*?)}", STYLE, re.DOTALL)[number]
    values = dict(re.findall(r"--(\w+): ([^;]+);", declared))
    colors = {name: rgb(value) for name, value in values.items() if value.startswith("#")}
    fill, strength = [int(part) for part in values["fill"].split()], float(values["strength"])
    colors["cell"] = [
        strength * part + (1 - strength) * paper for part, paper in zip(fill, colors["paper"], strict=True)
    ]
    assert fill == colors["accent"]
    for text, background in (
        ("ink", "paper"), ("ink", "soft"), ("ink", "cell"), ("muted", "paper"), ("muted", "soft"), ("accent", "paper"),
        ("accent", "soft"), ("second", "paper"),
    ):  # fmt: skip
        assert contrast(colors[text], colors[background]) >= 4.5, (text, background)


def rgb(color: str) -> list[int]:
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    return [int(digits[i : i + 2], 16) for i in (0, 2, 4)]


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the contrast ratio of two colours as WCAG 2.2 defines it."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: Sequence[float]) -> float:
    linear = [part / 255 / 12.92 if part <= 0.04045 * 255 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
