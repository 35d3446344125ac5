"""report.html says how a run was trained, and shows its augmented views."""

import base64
from pathlib import Path

from support.encoded_images import RGB, encode
from support.html_page import Page
from support.report_inputs import CONFIG, EPOCHS, METRICS, dataset
from support.runs import started

from finetune.evaluation.report import render_report, write_report
from finetune.model import Model
from finetune.runs.run import Run

IMAGES = dataset(("a", "b"), [Path("x")])


def words(page: str) -> str:
    return " ".join(Page(page).words.split())


def test_the_sheet_of_the_run_is_in_the_page(tiny_model: Model, tmp_path: Path) -> None:
    """The file is in the page itself; a page is written without one too, and without a truncated one."""
    run = Run(tmp_path / "run")
    started(run.path, CONFIG, IMAGES, "the plan")
    run.write_history(EPOCHS[0].keys(), [tuple(epoch.values()) for epoch in EPOCHS])
    run.write_model(tiny_model)
    run.write_metrics(METRICS)
    png = encode(RGB, "PNG")
    run.write_augmented(png)
    page = write_report(run.path).read_text()
    (shown,) = (a for tag, a in Page(page).tags if tag == "img" and "image/png" in (a["src"] or ""))
    assert shown == {
        "class": "sheet",
        "src": f"data:image/png;base64,{base64.b64encode(png).decode()}",
        "alt": "rows of training images, each with its augmented views to the right",
    }
    assert "Augmented views Some training images, one per row: the image itself on the left, and" in words(page)
    run.write_augmented(png[:-1])
    truncated = write_report(run.path).read_text()
    (run.path / "augmented.png").unlink()
    without = write_report(run.path).read_text()
    assert truncated == without
    assert "Augmented" not in without
    assert "image/png" not in without


def test_the_sentences_of_the_plan_are_a_list_and_its_tables_keep_their_columns() -> None:
    plan = "alexnet from starter\nviews: <all>\n\nlayer  weights\nfc8    fresh\n\nclass  train\nants       3\n"
    page = render_report("run", CONFIG, plan, METRICS, EPOCHS, IMAGES)
    assert "<ul><li>alexnet from starter</li><li>views: &lt;all&gt;</li></ul>" in page
    assert ">layer  weights\nfc8    fresh\n\nclass  train\nants       3</pre>" in page


def test_the_plan_of_a_run_of_0_1_is_one_line() -> None:
    page = render_report("run", CONFIG, "fresh: fc8\n", METRICS, EPOCHS, IMAGES)
    assert "Plan fresh: fc8 Command and settings" in words(page)
    assert "Tables of the plan" not in page
