"""report.html of a linear probe: what its accuracy is of, and the layers that it was tried on."""

from pathlib import Path

import pytest
from support.html_page import Page, table_rows
from support.report_inputs import CONFIG, dataset, evaluation_json

from finetune.evaluation.report import render_report

PROBED = [
    {"layer": "pool5", "strength": 0.1, "accuracy": 0.75, "standard_error": 0.125, "log_loss": 0.5, "chosen": "False"},
    {"layer": "fc6", "strength": 3.0, "accuracy": 0.875, "standard_error": 0.0625, "log_loss": 0.25, "chosen": "True"},
]


@pytest.mark.parametrize(
    ("judged", "val", "words"),
    [
        ("validation images", 4, "These images chose nothing: layer, strength and temperature come from"),
        (
            "training images, held out in turn",
            0,
            "Each of these images was classified by a probe that was fitted",
        ),
    ],
)
def test_the_page_of_a_probe(judged: str, val: int, words: str) -> None:
    names, paths = ("a", "b"), [Path(f"{i}.png") for i in range(4)]
    images = {"train": 8, "val": val} if val else {"train": 8}
    metrics = {"kept": "probe", "probe": "fc6", "judged": judged, "val_accuracy": 0.875, "images": images}
    evaluation = evaluation_json(names, paths, 2.0)
    plan = "alexnet from starter\n\nprobe on  log loss\nfc6          0.250\n\nlayer  weights\nfc8    fresh\n"
    page = render_report("run", CONFIG, plan, metrics, [], dataset(names, paths), evaluation, PROBED)
    text = " ".join(Page(page).words.split())
    assert f" of 4 {judged} are classified correctly" in text
    assert "Model linear probe on fc6 " in text
    assert words in text
    assert "the temperature 2.000, which was fitted in cross-validation on the training images to minimize" in text
    assert table_rows(page, '<tr class="kept">') == ["fc6 87.5 % ± 6.2 % 0.250 3"]
    assert "pool5 75.0 % ± 12.5 % 0.500 0.1" in table_rows(page, "<tr>")
    assert "Plan alexnet from starter layer weights fc8 fresh Command" in text  # the table of the probe is shown once
    assert "epoch" not in text
