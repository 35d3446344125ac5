"""The page of a check: sections, advice, thumbnails, and how many of each are shown."""

import re
from collections import Counter
from html import unescape
from pathlib import Path

from support.drawn_photos import write_photos

from finetune.check.check import Check
from finetune.check.finding_kinds import Finding
from finetune.check.look import ImageLook
from finetune.check.page import COPIES, OPEN, OPEN_CLASSES, SHOWN, write_page
from finetune.data.dataset import LabelledFile


def page(folder: Path, *findings: Finding, accuracy: float | None = None) -> str:
    looks = tuple(ImageLook(LabelledFile(Path(f"{i}.jpg"), "ants", "train")) for i in range(7))
    counts = {"ants": Counter(train=4, val=2)}
    write_page(Check(folder, looks, counts, {}, findings, accuracy), folder / "check.html")
    return (folder / "check.html").read_text(encoding="utf-8")


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<(style).*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL)).split())


def test_counts_and_sections(tmp_path: Path) -> None:
    text = words(page(tmp_path, Finding("one-class", "only 'ants' has images")))
    assert "7 images, 6 readable. Nothing was changed." in text
    _, contents, found = text.split("Hard: will hurt training")
    hard, soft = found.split("Soft: worth knowing")
    assert contents.strip() == "fewer than two classes 1"
    assert "1 × fewer than two classes Training needs at least two. Make a folder per class." in hard
    assert soft.strip() == "Nothing found. Classes Readable images in each split. class train val ants 4 2"


def test_a_column_of_test_images_if_there_are_any(tmp_path: Path) -> None:
    counts = {"ants": Counter(train=4, val=2), "bees": Counter(train=3, test=1)}
    write_page(Check(tmp_path, (), counts, {}, ()), tmp_path / "check.html")
    text = words((tmp_path / "check.html").read_text(encoding="utf-8"))
    assert "class train val test ants 4 2 0 bees 3 0 1" in text


def test_thumbnails_of_copies(tmp_path: Path) -> None:
    write_photos(tmp_path / "ants", range(COPIES + 2))
    paths = tuple(sorted((tmp_path / "ants").iterdir()))
    html = page(tmp_path, Finding("near", "8 images", paths))
    assert html.count('<img src="data:image/jpeg;base64,') == COPIES
    assert "ants/000.jpg" in html
    assert "and 2 more" in words(html)


def test_every_image_of_a_pair_has_its_split_and_its_class(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    write_photos(folder, range(3))
    labels = [("000.jpg", "ants", "train"), ("001.jpg", "bees", "test")]
    looks = tuple(ImageLook(LabelledFile(folder / name, label, split)) for name, label, split in labels)
    finding = Finding("near-classes", "the message", tuple(folder / f"00{i}.jpg" for i in range(3)))
    write_page(Check(folder, looks, {"ants": Counter(train=1)}, {}, (finding,)), tmp_path / "check.html")
    html = (tmp_path / "check.html").read_text(encoding="utf-8")
    assert "the message train ants 000.jpg test bees 001.jpg 002.jpg" in words(html)
    assert re.findall('alt="(.*?)"', html) == ["labelled ants", "labelled bees", "002.jpg"]


def test_long_lists_are_folded(tmp_path: Path) -> None:
    """The first findings of a kind are open, and so are the classes, unless there are many."""
    findings = [Finding("few-pictures", f"class {i} is small") for i in range(OPEN + 2)]
    html = page(tmp_path, *findings)
    shown, folded = html.split("<details>")
    assert shown.count("is small") == OPEN
    assert "2 more</summary>" in folded
    assert "<details>" not in page(tmp_path, *findings[:OPEN])
    many = {f"class {i}": Counter(train=1) for i in range(OPEN_CLASSES + 1)}
    write_page(Check(tmp_path, (), many, {}, ()), tmp_path / "check.html")
    assert "<summary>All 41 classes</summary>" in (tmp_path / "check.html").read_text(encoding="utf-8")


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
    html = page(tmp_path, Finding("unreadable", "<script>", (Path("<u>.jpg"),)))
    assert "<script" not in html
    assert "<u>" not in html
