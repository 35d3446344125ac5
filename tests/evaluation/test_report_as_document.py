"""report.html as a document: its parts in order, for people who see it, hear it, or use a keyboard."""

import re
from pathlib import Path

import pytest
from support.drawn_photos import write_photos
from support.html_page import Page
from support.report_inputs import CONFIG, EPOCHS, METRICS, dataset, evaluation_json

from finetune.data.dataset import Skipped
from finetune.evaluation.report import render_report

NAMES = ("ants", "bees")


@pytest.fixture
def page(tmp_path: Path) -> str:
    """A report with everything that a report can have, except what a linear probe has."""
    write_photos(tmp_path / "ants", range(6))
    paths = sorted((tmp_path / "ants").iterdir())
    images = dataset(NAMES, paths, (Skipped(Path("x.jpg"), "the file is empty"),))
    return render_report(
        "run", CONFIG, "alexnet\n\nlayer  weights\n", METRICS, EPOCHS, images, evaluation_json(NAMES, paths, 2.0),
        augmented=b"png",
    )  # fmt: skip


def test_the_result_and_the_images_come_first_and_the_settings_last(page: str) -> None:
    headings = [re.sub("<.*?>", "", text) for text in re.findall(r"<(?:h\d|summary)>(.*?)</(?:h\d|summary)>", page)]
    assert headings == [
        "run", "The most wrong", "The least certain", "Confusion matrix", "Classes", "Training",
        "Every epoch in numbers", "How reliable the probabilities are", "Augmented views", "How the run was made",
        "Plan", "Skipped files (1)", "Command and settings", "Versions",
    ]  # fmt: skip
    assert page.index('class="large"') < page.index("<h2>")


def test_images_plots_and_tables_have_words(page: str) -> None:
    """Every image and plot has a description, and every cell of a header says what it is the header of."""
    tags = Page(page).tags
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    assert page.count("<svg ") == len(re.findall(r'<div role="img" aria-label="[^"]+"><svg ', page)) == 5
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in tags if tag == "th")
    assert 'alt="labelled bees, predicted ants"' in page


def test_what_scrolls_can_be_reached_and_has_a_name(page: str) -> None:
    boxes = [attributes for _, attributes in Page(page).tags if "wide" in (attributes.get("class") or "").split()]
    assert len(boxes) == 8  # matrix, classes, epochs, calibration, plan, skipped files, settings, versions
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in boxes)


def test_a_temperature_of_1_is_explained() -> None:
    """Then the model as trained is the model as used, and one column of numbers says all.

    Half of six images are wrong, by 5, 3 and 1; the others are right by 6, 4 and 2: Σ log(1 + exp(…)) / 6 = 1.5860.
    """
    paths = [Path(f"{i}.png") for i in range(6)]
    page = render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(NAMES, paths), evaluation_json(NAMES, paths))
    words = " ".join(Page(page).words.split())
    assert "The last epoch was kept: these images chose nothing. If you choose" in words
    assert (
        "No temperature lowered the loss beyond noise, so the probabilities are used as trained. The expected" in words
    )
    assert "divided by the temperature" not in words
    assert "as used validation loss 1.5860 expected" in words


def test_the_classes_of_a_long_list_are_folded() -> None:
    for count, folded in ((40, False), (41, True)):
        names = tuple(f"class {i}" for i in range(count))
        page = render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(names, [Path("x")]))
        assert (f"<summary>All {count} classes</summary>" in page) is folded
