"""The page of a check: sections, advice, thumbnails, and how many of each are shown."""

import re
from collections import Counter
from html import unescape
from pathlib import Path

from support.drawn_photos import write_photos

from finetune.check.check import Check
from finetune.check.finding_kinds import Finding
from finetune.check.look import ImageLook
from finetune.check.page import COPIES, SHOWN, write_page
from finetune.data.dataset import LabelledFile


def page(folder: Path, *findings: Finding, accuracy: float | None = None) -> str:
    looks = tuple(ImageLook(LabelledFile(Path(f"{i}.jpg"), "ants", "train")) for i in range(7))
    counts = {"ants": Counter(train=4, val=2)}
    write_page(Check(folder, looks, counts, True, findings, accuracy), folder / "check.html")
    return (folder / "check.html").read_text(encoding="utf-8")


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<(style).*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL)).split())


def test_counts_and_sections(tmp_path: Path) -> None:
    text = words(page(tmp_path, Finding("one-class", "only 'ants' has images")))
    assert "7 images, 6 readable. Nothing was changed." in text
    assert "class train val ants 4 2" in text
    hard, soft = text.split("Hard: will hurt training")[1].split("Soft: worth knowing")
    assert "1 × fewer than two classes Training needs at least two. Make a folder per class." in hard
    assert soft.strip() == "Nothing found."


def test_a_column_of_test_images_if_there_are_any(tmp_path: Path) -> None:
    counts = {"ants": Counter(train=4, val=2), "bees": Counter(train=3, test=1)}
    write_page(Check(tmp_path, (), counts, True, ()), tmp_path / "check.html")
    text = words((tmp_path / "check.html").read_text(encoding="utf-8"))
    assert "class train val test ants 4 2 0 bees 3 0 1" in text


def test_thumbnails_of_copies(tmp_path: Path) -> None:
    write_photos(tmp_path / "ants", range(COPIES + 2))
    paths = tuple(sorted((tmp_path / "ants").iterdir()))
    html = page(tmp_path, Finding("near", "8 images", paths))
    assert html.count('<img src="data:image/jpeg;base64,') == COPIES
    assert "ants/000.jpg" in html
    assert "and 2 more" in words(html)


def test_unreadable_files_are_only_named(tmp_path: Path) -> None:
    write_photos(tmp_path / "ants", range(1))
    photo = tmp_path / "ants/000.jpg"
    for kind in ("unreadable", "passed-over"):
        html = page(tmp_path, Finding(kind, "the reason", (photo,)))
        assert "<img" not in html
        assert "ants/000.jpg the reason" in words(html)


def test_no_more_than_some_findings_of_a_kind(tmp_path: Path) -> None:
    findings = [Finding("few-pictures", f"class {i} is small") for i in range(SHOWN + 3)]
    text = words(page(tmp_path, *findings))
    assert f"{SHOWN + 3} × classes with few images to train on" in text
    assert text.count("is small") == SHOWN
    assert "--json lists 3 more." in text


def test_the_accuracy_of_the_head_that_doubts_labels(tmp_path: Path) -> None:
    doubt = Finding("suspect-label", "labelled 'ants', looks like 'bees'", (Path("gone.jpg"),))
    sentence = "The head that doubts them is right on 87 % of the images it was not trained on."
    assert sentence in words(page(tmp_path, doubt, accuracy=0.87))
    assert "The head" not in words(page(tmp_path, Finding("near", "2 images", (Path("gone.jpg"),)), accuracy=0.87))


def test_names_are_escaped(tmp_path: Path) -> None:
    html = page(tmp_path, Finding("unreadable", "<script>", (Path("<b>.jpg"),)))
    assert "<script" not in html
    assert "<b>" not in html
