"""report.html: what is on the page, escaped, self-contained, and the same when written from the run directory."""

import html
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.html_page import Page, table_rows
from support.report_inputs import CONFIG, EPOCHS, METRICS, dataset, evaluation_json
from support.runs import started

from finetune.data.dataset import Skipped
from finetune.errors import RunError
from finetune.evaluation.report import render_report, write_report
from finetune.model import Model
from finetune.runs.run import Run

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "$x^2_{$")


def test_names_and_paths_are_escaped(image_folder: Callable[..., Path]) -> None:
    paths = sorted(image_folder(stripes=6).rglob("*.png"))
    hostile = paths[0].with_name(f"{HOSTILE[0].replace('/', '')}.png")
    paths[0].rename(hostile)
    paths[0] = hostile
    skipped = (Skipped(Path(HOSTILE[1]), "<b>damaged</b>"),)
    page = Page(
        render_report(
            "<em>", {"data": "<i>", "weights": "<u>"}, "<s>plan</s>", METRICS, EPOCHS,
            dataset(HOSTILE, paths, skipped), evaluation_json(HOSTILE, paths),
        )
    )  # fmt: skip
    assert not {tag for tag, _ in page.tags} & {"script", "i", "u", "s", "em", "link", "iframe", "object"}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    for text in (*HOSTILE, "<b>damaged</b>", "<em>", "<i>", "<u>", "<s>plan</s>", hostile.name):
        assert text in page.words


def test_the_page_loads_nothing_from_the_network(image_folder: Callable[..., Path]) -> None:
    paths = sorted(image_folder(stripes=6).rglob("*.png"))
    text = render_report(
        "run", CONFIG, "plan", METRICS, EPOCHS, dataset(HOSTILE, paths), evaluation_json(HOSTILE, paths, 2.0)
    )
    page = Page(text)
    links = [a[name] for _, a in page.tags for name in ("src", "href", "srcset", "action", "data") if name in a]
    assert len(links) == 4 + 6  # most wrong; least certain
    assert all(link and link.startswith("data:image/jpeg;base64,") for link in links)
    assert not re.search(r"@import|url\((?!#)|https?:", text)
    (policy,) = (a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert len(page.plots()) == 3 + 2  # by epoch; reliability as trained and as used
    for plot in page.plots():
        assert "<script" not in plot
        assert not re.search(r'href="(?!#)', plot)


def test_the_words_and_numbers_on_the_page(image_folder: Callable[..., Path]) -> None:
    """The model predicts ants for all of five images: three are ants, two are bees."""
    paths = sorted(image_folder(stripes=5).rglob("*.png"))
    names = ("ants", "bees")
    config = {
        "data": "my/photos",
        "network": "alexnet",
        "weights": "models/bvlc.npy",
        "skip": ["fc8"],
        "layer_lr": [],
        "patience": None,
        "mixup": 0.0,
        "version": "9.9",
        "versions": {"finetune": "9.9", "numpy": "8.8"},
    }
    text = render_report(
        "insects", config, "frozen: all", METRICS, EPOCHS, dataset(names, paths), evaluation_json(names, paths, 2.0)
    )
    words = " ".join(Page(text).words.split())
    for part in (
        "insects: 2 classes of photos finetune report insects",
        "60.0 % of 5 validation images are classified correctly (95 % interval 23.1 % to 88.2 %).",
        "The last epoch was kept: these images chose nothing but the temperature, which does not change the accuracy. "
        "If you choose among runs by this accuracy, run finetune evaluate RUN --data FOLDER on images",
        "Data photos: 2 classes, 2 training images, 5 validation images "
        "Model alexnet; weights bvlc.npy; fresh fc8; epoch 1 of 2 Made with finetune 9.9 The most wrong",
        "Plan frozen: all",
        "ants 1 3 60.0 % 100.0 % 75.0 %",
        "bees 1 2 0.0 % 0.0 % 0.0 %",
        "true ↓ predicted → ants bees ants 3 0 bees 2 0",
        "divided by the temperature 2.000",
        "as trained as used validation loss 1.3027 0.8389 expected calibration error",
        "finetune train --data my/photos --skip fc8 --weights models/bvlc.npy data my/photos network alexnet "
        "weights models/bvlc.npy skip fc8 mixup 0.0 version 9.9 Versions",
        "numpy 8.8",
    ):
        assert part in words.replace("\N{NO-BREAK SPACE}", " "), part
    wrong, uncertain = words.partition("Confusion matrix")[0].split("The most wrong")[1].split("The least certain")
    assert wrong.index("1.png") < wrong.index("3.png")
    assert "0.png" not in wrong
    assert re.findall(r"\d\.png", uncertain) == ["4.png", "3.png", "2.png", "1.png", "0.png"]


def test_every_epoch_is_a_row_and_the_kept_one_is_bold() -> None:
    history = [
        {
            "epoch": epoch,
            "learning_rate": 0.1 / epoch,
            "train_loss": 0.5 / epoch,
            "train_accuracy": 0.25 * epoch,
            "val_loss": 1.5 / epoch,
            "val_accuracy": 0.5 - 0.125 * epoch,
        }
        for epoch in (1, 2)
    ]
    page = render_report("run", CONFIG, "", METRICS, history, dataset(("a", "b"), [Path("x")]))
    assert table_rows(page, '<tr class="kept">') == ["1 0.1 0.5000 25.0 % 1.5000 37.5 %"]
    assert "2 0.05 0.2500 50.0 % 0.7500 25.0 %" in table_rows(page, "<tr>")
    assert "was interrupted" not in page
    interrupted = {**METRICS, "interrupted": True}
    page = render_report("run", CONFIG, "", interrupted, history, dataset(("a", "b"), [Path("x")]))
    assert "Training was interrupted; the last whole epoch was kept." in page


def test_weights_from_a_run_are_named_after_it() -> None:
    config = {**CONFIG, "weights": "runs/first/model.safetensors", "source_weights": {"name": "first", "sha256": "0"}}
    words = Page(render_report("run", config, "", METRICS, EPOCHS, dataset(("a", "b"), [Path("x")]))).words
    assert "weights first; epoch 1 of 2" in " ".join(words.split())


@pytest.mark.parametrize("kept", [{"kept": "best"}, {}], ids=["with patience", "a run of 0.1"])
def test_the_page_says_that_the_best_epoch_was_chosen(kept: dict[str, str]) -> None:
    metrics = {"val_accuracy": 0.875, "best_epoch": 1, "epochs": 2, "interrupted": True, **kept}
    page = render_report("run", CONFIG, "", metrics, EPOCHS, dataset(("a", "b"), [Path("x")]))
    words = " ".join(Page(page).words.split())
    assert (
        "The best epoch was chosen on these same images, so this accuracy is optimistic. "
        "For an unbiased one, run finetune evaluate RUN --data FOLDER on images that training has not seen."
    ) in words
    assert "Training was interrupted; the best epoch so far was kept." in words
    assert "nothing but the temperature" not in words


def test_cells_of_the_confusion_matrix_are_as_strong_as_their_share_of_the_row() -> None:
    names, paths = ("a", "b"), [Path(f"{i}.png") for i in range(4)]
    evaluation = {**evaluation_json(names, paths), "confusion": [[1, 3], [0, 0]]}
    page = render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(names, paths), evaluation)
    assert re.findall(r"<td( [^>]*)>(\d+)</td>", page.partition("Confusion matrix</h2>")[2])[:4] == [
        (' class="right" style="--share: 0.25"', "1"),
        (' style="--share: 0.75"', "3"),
        (' class="zero"', "0"),
        (' class="zero"', "0"),
    ]


def test_the_most_frequent_confusions_come_first_and_only_some_are_listed() -> None:
    names, paths = tuple(f"class {i}" for i in range(41)), [Path(f"{i}.png") for i in range(82)]
    confusion = np.zeros((41, 41), int)
    confusion[np.arange(24), np.arange(1, 25)] = np.arange(1, 25)  # of class i, i + 1 images are taken for the next
    evaluation = {**evaluation_json(names, paths), "confusion": confusion.tolist()}
    page = render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(names, paths), evaluation)
    listed = [row for row in table_rows(page, "<tr>") if re.fullmatch(r"class \d+ class \d+ \d+", row)]
    assert listed == [f"class {i} class {i + 1} {i + 1}" for i in range(23, 3, -1)]


def test_the_numbers_of_calibration_and_intervals_are_in_their_places() -> None:
    names, paths = tuple("abcdef"), [Path(f"{i}.png") for i in range(6)]
    evaluation = {
        **evaluation_json(names, paths, 2.0),
        "top1": 0.5,
        "top5": 0.625,
        "intervals": {"top1": [0.25, 0.75], "top5": [0.375, 0.875]},
        "loss_before": 1.25,
        "loss_after": 1.0,
        "ece_before": 0.2,
        "ece_after": 0.1,
        "ece_floor": 0.0525,
    }
    page = render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(names, paths), evaluation)
    words = " ".join(Page(page).words.split())
    for part in (
        "50.0 % of 6 validation images are classified correctly (95 % interval 25.0 % to 75.0 %).",
        "For 62.5 % the true class is among the five most probable (37.5 % to 87.5 %).",
        "validation loss 1.2500 1.0000 expected calibration error 20.0 % 10.0 %",
        "as used, is 10.0 % (a perfectly calibrated model would show 5.2 % on this many images).",
    ):
        assert part in words, part


def test_a_run_of_an_earlier_version_has_no_calibration_floor() -> None:
    names, paths = ("a", "b"), [Path("x.png")]
    evaluation = evaluation_json(names, paths)
    del evaluation["ece_floor"]
    words = Page(render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(names, paths), evaluation)).words
    assert "expected calibration error" in words
    assert "perfectly calibrated" not in words


def test_a_wrong_image_shows_both_classes_with_their_probabilities() -> None:
    names, paths = ("ants", "bees"), [Path("d/a.png"), Path("d/b.png")]
    result = {
        "path": "of/a/folder/b.png",
        "true": "bees",
        "predicted": "ants",
        "probability": 0.75,
        "true_probability": 0.25,
    }
    right = {**result, "true": "ants", "true_probability": 0.75}
    evaluation = {**evaluation_json(names, paths), "most_wrong": [result], "least_certain": [right]}
    words = " ".join(
        Page(render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(names, paths), evaluation)).words.split()
    )
    assert "The most wrong predicted ants 75.0 % true bees 25.0 % folder/b.png" in words
    assert "The least certain predicted ants 75.0 % correct folder/b.png" in words


def test_the_legend_of_the_reliability_plot_is_below_it(image_folder: Callable[..., Path]) -> None:
    """49 images make three bins; the words of the legend are below those of the axis."""
    names = ("ants", "bees")
    evaluation = evaluation_json(names, [Path(f"{i}.png") for i in range(49)])
    assert [bin["images"] for bin in evaluation["reliability_after"]] == [16, 16, 17]
    paths = [Path(f"{i}.png") for i in range(49)]
    *_, plot = Page(render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(names, paths), evaluation)).plots()
    heights = {
        text: float(y)
        for y, text in re.findall(r'<text[^>]*(?:translate\([\d.]+ | y=")([\d.]+)[^>]*>([^<]+)</text>', plot)
    }
    assert heights["16 to 17 images each"] == pytest.approx(heights["ideal"], abs=1)
    assert heights["ideal"] > heights["confidence, %"]


def test_without_an_evaluation_or_with_many_classes() -> None:
    names = tuple(f"class {i}" for i in range(41))
    paths = [Path(f"{i}.png") for i in range(82)]
    page = Page(render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(names, paths)))
    assert "87.5 % of the validation images are classified correctly." in " ".join(page.words.split())
    assert "precision" not in page.words
    assert "Plan" not in page.words
    assert len(page.plots()) == 3
    page = Page(render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(names, paths), evaluation_json(names, paths)))
    words = " ".join(page.words.split())
    assert "true predicted images class 1 class 0 2 class 2 class 0 2" in words
    assert len(page.plots()) == 3 + 1 + 1
    assert "the true class is among the five most probable" in words


def test_only_the_first_skipped_files_are_listed() -> None:
    skipped = tuple(Skipped(Path(f"{i}.jpg"), "the file is empty") for i in range(203))
    page = Page(render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(("a", "b"), [Path("x")], skipped)))
    assert page.words.count("the file is empty") == 200
    assert "skipped.csv lists 3 more." in page.words


def test_from_the_run_directory_alone(image_folder: Callable[..., Path], tiny_model: Model, tmp_path: Path) -> None:
    """The page written again is the same to the byte, although the images are gone."""
    data = image_folder(stripes=3, dots=3)
    paths, names = sorted(data.rglob("*.png")), ("dots", "stripes")
    images, evaluation = dataset(names, paths), evaluation_json(names, paths)
    run = Run(tmp_path / "run")
    started(run.path, {"data": str(data), "version": "0"}, images)
    run.write_history(EPOCHS[0].keys(), [tuple(epoch.values()) for epoch in EPOCHS])
    run.write_model(tiny_model)
    run.write_metrics(METRICS)
    run.write_evaluation(evaluation)
    (run.path / "plan.txt").write_text("the plan")
    first = render_report("run", run.config(), "the plan", METRICS, EPOCHS, images, evaluation)
    for path in paths:
        path.unlink()
    assert write_report(run.path) == run.path / "report.html"
    assert (run.path / "report.html").read_text(encoding="utf-8") == first
    assert len(re.findall("data:image/jpeg", first)) == 3 + 6


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no model\.safetensors"):
        write_report(tmp_path)


def test_equal_runs_give_equal_pages() -> None:
    paths = [Path(f"{i}.png") for i in range(6)]
    pages = [
        render_report("run", CONFIG, "", METRICS, EPOCHS, dataset(HOSTILE, paths), evaluation_json(HOSTILE, paths))
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
    assert html.unescape(pages[0]).count(HOSTILE[2])


def test_matplotlib_and_tensorflow_are_not_imported_until_needed() -> None:
    program = "import sys\nimport finetune.evaluation.report, finetune.evaluation.evaluate\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not set(loaded) & {"matplotlib", "tensorflow"}
