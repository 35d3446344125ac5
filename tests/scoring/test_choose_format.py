"""The ending of the output file decides its format, and must be able to hold the rows."""

from pathlib import Path

import pytest

from finetune.classifier import Classifier
from finetune.errors import UsageError
from finetune.model import Model
from finetune.scoring.choose_format import choose_format
from finetune.scoring.formats import CsvFormat, Format, JsonLinesFormat, NpyFormat
from finetune.scoring.score_options import ScoreOptions


@pytest.fixture
def classifier(tiny_model: Model) -> Classifier:
    return Classifier(tiny_model)


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("a.jsonl", {}, JsonLinesFormat),
        ("a.CSV", {}, CsvFormat),
        ("a.b.csv", {"top": 1}, CsvFormat),
        ("a.npy", {"features": ("fc7",)}, NpyFormat),
    ],
)
def test_format_by_the_ending(
    name: str, options: dict[str, object], kind: type[Format], classifier: Classifier
) -> None:
    assert type(choose_format(Path(name), classifier, ScoreOptions(**options))) is kind  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "rows.json",
            {},
            r"--out rows\.json: expected a name that ends in \.jsonl, \.csv, \.parquet, \.npy, \.h5 or \.mat",
        ),
        ("rows", {}, r"--out rows: expected a name that ends in"),
        ("rows.npy", {}, r"--out rows\.npy: \.npy holds features; add --features LAYERS"),
        (
            "rows.csv",
            {"features": ("fc7",)},
            r"--out rows\.csv: features are .*; choose \.npy, \.h5, \.mat or \.parquet",
        ),
        (
            "rows.H5",
            {},
            r"--out rows\.H5: \.h5 holds features; add --features LAYERS, or choose \.jsonl",
        ),
        (
            "x.h5",
            {"features": ("fc7",)},
            r"\.h5 needs the number of images first, but - is .*; write .* give @FILE",
        ),
        ("x.mat", {"features": ("fc7",), "dtype": "float16"}, r"MATLAB has no float16; omit --dtype, or choose \.h5"),
        (
            "x.npy",
            {"features": ("fc9",)},
            r"alexnet has no layer 'fc9' \(did you mean fc8\?\); its layers are conv1, norm1,",
        ),
        (
            "x.npy",
            {"features": ("fc7",), "pool": "mean"},
            r"the output of fc7 is a vector, so there is nothing to pool",
        ),
    ],
)
def test_formats_that_cannot_hold_the_rows(
    name: str, options: dict[str, str], message: str, classifier: Classifier
) -> None:
    with pytest.raises(UsageError, match=message):
        choose_format(Path(name), classifier, ScoreOptions(**options))  # type: ignore[arg-type]
