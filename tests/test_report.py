"""report.html: escaped, self-contained."""

from pathlib import Path

from finetune.data.folder import Dataset, Record, Skipped
from finetune.report import render_report
from finetune.training.loop import Epoch


def test_names_and_paths_are_harmless() -> None:
    dataset = Dataset(
        (Record(Path("a"), 0, "train", "00"), Record(Path("b"), 1, "val", "01")),
        ("<script>alert(1)</script>", "bees"),
        (Skipped(Path('"><img src=x onerror=alert(2)>.jpg'), "<b>damaged</b>"),),
    )
    metrics = {"val_accuracy": 0.875, "best_epoch": 1, "epochs": 1, "interrupted": False}
    html = render_report({"data": "<i>"}, "<u>plan</u>", metrics, [Epoch(1, 0.1, 0.5, 0.5, 0.25, 0.875)], dataset)
    for tag in ("<script", "<img", "<b>", "<i>", "<u>"):
        assert tag not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "Validation accuracy 87.5%" in html
    for outside in ("http:", "https:", "src=", "@import", "url("):
        assert outside not in html.replace("&lt;img src=x", "")
