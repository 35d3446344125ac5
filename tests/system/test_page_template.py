"""Templates of pages: escaped, with filters, blocks without blank lines."""

from pathlib import Path

import pytest

from finetune.system.page_template import page_template


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "package_with_page"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "page.html").write_text("{% if true %}\n  {{ name | loud }} é\n{% endif %}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_every_value_is_escaped_and_a_filter_is_applied(package: str) -> None:
    template = page_template(package, "page.html", loud=str.upper)
    assert template.render(name="<b>") == "  &lt;B&gt; é\n"
