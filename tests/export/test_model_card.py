"""The model card: what it says of a run, of a file and of published weights."""

import json
import platform
from dataclasses import replace
from pathlib import Path

import pytest
from support.readers import write_run

from finetune.choices import ExportFormat
from finetune.data.preprocessing import Preprocessing
from finetune.export.int8 import Int8Loss
from finetune.export.model_card import LISTED, card, describe_loss
from finetune.model import Model, load_model
from finetune.runs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of ants and bees: four images in each split, one skipped, three of four validation images right."""
    return write_run(tmp_path / "insects")


def section(text: str, title: str) -> str:
    _, _, rest = text.partition(f"\n## {title}\n\n")
    assert rest, title
    return rest.partition("\n\n## ")[0].rstrip("\n")


def card_of(run: Run, format: ExportFormat = "npy", **changes: object) -> str:
    model = replace(load_model(run.model), **changes)  # type: ignore[arg-type]
    return card(format, model, str(run.path), run, 0.0, None)


def test_sections_in_order(run: Run) -> None:
    text = card_of(run)
    assert text.startswith("# insects: alexnet-mnist with 2 classes, for NumPy\n\nExported by finetune ")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## How to use it",
        "## Preprocessing",
        "## Classes",
        "## Data",
        "## Metrics",
        "## Source of the weights",
        "## Versions",
    ]
    assert text.endswith("\n")


def test_a_run(run: Run) -> None:
    text = card_of(run, about={"temperature": 1.5})
    assert section(text, "Classes").splitlines() == [
        "| index | class | training images | validation images |",
        "|---|---|---|---|",
        "| 0 | ants | 2 | 2 |",
        "| 1 | bees | 2 | 2 |",
    ]
    assert section(text, "Data") == (
        "`insects`: 4 training images, 4 validation images, 1 skipped because they could not be read. "
        "SHA-256 of images, labels and split: `unknown`."
    )
    # 3 of 4 are right; Wilson's interval (Newcombe 1998, method 3) worked out by hand.
    assert section(text, "Metrics").splitlines()[:2] == [
        "- On 4 validation images: top-1 75.0 % (95 % interval 30.1 % to 95.4 %), "
        f"expected calibration error {100 * evaluation(run)['ece_after']:.1f} % "
        f"(a perfectly calibrated model would show {100 * evaluation(run)['ece_floor']:.1f} % on this many images).",
        "- Probabilities are calibrated: the logits are divided by 1.5000.",
    ]
    assert "- trained with finetune 0" in section(text, "Versions")
    assert "- exported with finetune " in section(text, "Versions")
    for private in (str(run.path.parent), platform.platform()):
        assert private not in text, "whoever gets the model need not know the layout of this disk, or the system"


def evaluation(run: Run) -> dict[str, float]:
    found: dict[str, float] = json.loads((run.path / "evaluation.json").read_text())
    return found


def test_a_file(tiny_model: Model) -> None:
    text = card("onnx", tiny_model, "models/my.safetensors", None, 1.2e-6, None)
    assert text.startswith("# my.safetensors: alexnet with 3 classes, for ONNX\n")
    assert section(text, "Classes") == "red, green, blue"
    assert section(text, "Data") == "The file does not say which images it was trained on."
    assert section(text, "Metrics").splitlines() == [
        "- No metrics of this model are known.",
        "- The format's own runtime has loaded this export; on four synthetic images its probabilities differed from "
        "those of `finetune predict` by at most 1.2e-06.",
    ]
    assert section(text, "Source of the weights") == (
        "`my.safetensors`. Licence: unknown; ask where the file came from."
    )


def test_metrics_in_the_file(tiny_model: Model) -> None:
    text = card("npy", replace(tiny_model, about={"metrics": {"val_accuracy": 0.5}}), "m.npz", None, 0.0, None)
    assert section(text, "Metrics").splitlines() == [
        '- Metrics in the model\'s file: `{"val_accuracy": 0.5}`.',
        "- The weights are those of the model, bit for bit.",
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"name": "starter", "sha256": "34cd"}, "`starter` (part of this package), SHA-256 `34cd`. Licence: trained "),
        ({"name": "/a/b/bvlc_alexnet.npy"}, "`bvlc_alexnet.npy` (http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caff"),
        ({"name": "mine.npz", "licence": "MIT"}, "`mine.npz`. Licence: MIT."),
        ({"name": "none"}, "None: the network was trained from scratch on the data above."),
    ],
)
def test_source_of_the_weights(source: dict[str, str], expected: str, tiny_model: Model) -> None:
    text = card("npy", replace(tiny_model, about={"source_weights": source}), "m.safetensors", None, 0.0, None)
    assert section(text, "Source of the weights").startswith(expected)


def test_trained_layers_are_subject_to_the_terms_of_the_images(run: Run) -> None:
    text = card_of(run, about={"source_weights": {"name": "starter"}})
    assert section(text, "Source of the weights").endswith(
        ". The layers that were trained further are also subject to the terms of the images."
    )


def test_many_classes_are_listed_in_part(tiny_model: Model) -> None:
    names = tuple(f"class {number}" for number in range(LISTED + 2))
    text = section(card("npy", replace(tiny_model, class_names=names), "m", None, 0.0, None), "Classes")
    assert "class 99\n\nand 2 more; `classes.txt` has all of them in order, one per line." in text
    assert "class 100" not in text


def test_class_names_are_escaped(tiny_model: Model) -> None:
    names = ("a|b", "*c*", "[d](http://e)")
    text = card("npy", replace(tiny_model, class_names=names), "m", None, 0.0, None)
    assert section(text, "Classes") == r"a\|b, \*c\*, \[d\](http://e)"


@pytest.mark.parametrize(
    ("format", "change", "expected"),
    [
        ("onnx", {}, "The model does the last step, mean and scale; the caller does the others. The image is turned"),
        ("saved_model", {}, "The model does all of this. The image is turned upright by its EXIF orientation, "),
        ("npy", {}, "The caller does all of this."),
        ("npy", {}, "and resized to 76 pixels on its short side and cropped to the central 67 × 67 pixels; "),
        ("npy", {"interpolation": "linear"}, "pixels are interpolated linearly between the four nearest, also where"),
        ("npy", {"resize": "warp"}, "and squeezed into 67 × 67 pixels as a whole; shrinking averages areas"),
    ],
)
def test_preprocessing(format: ExportFormat, change: dict[str, object], expected: str, tiny_model: Model) -> None:
    network = tiny_model.network
    changed = replace(network, preprocessing=replace(network.preprocessing, **change))  # type: ignore[arg-type]
    text = section(card(format, replace(tiny_model, network=changed), "m", None, 0.0, None), "Preprocessing")
    assert expected in text
    assert Preprocessing.from_json(json.loads(text.splitlines()[-1])) == changed.preprocessing


def test_loss_of_int8(tiny_model: Model) -> None:
    loss = Int8Loss(images=40, agreement=0.975, difference=0.1234, accuracy_float=0.9, accuracy_int8=0.875)
    assert describe_loss(loss) == (
        "8 bits compared with float32 on 40 images: top-1 87.5 % instead of 90.0 %, 2.5 points lost; the same class "
        "for 97.5 %; probabilities differ by at most 0.123."
    )
    text = card("litert-int8", tiny_model, "m", None, 0.1234, loss)
    assert section(text, "Metrics").splitlines()[-1] == f"- {describe_loss(loss)}"
    assert ", ai-edge-litert " in section(text, "Versions")
