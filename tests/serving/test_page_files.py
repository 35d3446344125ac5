"""The files of the page: its colours are those of the reports, it asks nothing of other sites, the wheel has it."""

import re
import zipfile
from pathlib import Path

import pytest
from support.served import Client

from finetune.serving.app import PAGE

ROOT = Path(__file__).parents[2]
COLORS = re.compile(r"(--\w+): (#\w+)")


def test_the_colours_are_those_of_the_reports() -> None:
    ours = COLORS.findall((PAGE / "page.css").read_text(encoding="utf-8"))
    reports = COLORS.findall((ROOT / "finetune" / "system" / "page.css").read_text(encoding="utf-8"))
    assert len(ours) == 14  # seven, and seven in the dark
    assert ours == reports


@pytest.mark.parametrize("path", sorted(PAGE.iterdir()), ids=lambda path: path.name)
def test_nothing_foreign_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"https?:|//\w+\.\w+|@import|eval\(|innerHTML", text)
    assert max(map(len, text.splitlines())) <= 140
    assert len(text.splitlines()) < 300


def test_every_file_is_served_with_its_type(client: Client) -> None:
    kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
    for path in PAGE.iterdir():
        answer = client.get("/" if path.name == "index.html" else f"/{path.name}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].partition(";")[0] == kinds[path.suffix]
        assert answer.content == path.read_bytes()


def test_the_wheel_has_the_page(tmp_path: Path) -> None:
    hatchling = pytest.importorskip("hatchling.builders.wheel")
    builder = hatchling.WheelBuilder(str(ROOT))
    (wheel,) = builder.build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    for path in PAGE.iterdir():
        assert f"finetune/serving/page/{path.name}" in names
    assert "finetune/serving/reference.html.j2" in names
