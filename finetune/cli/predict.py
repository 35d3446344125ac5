"""`finetune predict`."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.cli.options import (
    AbstainBelow,
    Inputs,
    Json,
    ModelOption,
    NetworkOption,
    Null,
    Strict,
    TenCrop,
    Top,
    Verbose,
)
from finetune.cli.safe_text import printable
from finetune.errors import DataError, UsageError

if TYPE_CHECKING:
    from finetune.classifier import Prediction
    from finetune.data.inputs import Input


def predict(
    inputs: Inputs,
    model: ModelOption = None,
    network: NetworkOption = None,
    top: Top = 5,
    ten_crop: TenCrop = False,
    abstain_below: AbstainBelow = 0.0,
    as_json: Json = False,
    null: Null = False,
    strict: Strict = False,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw which parts speak for the predicted class, to a PNG; for one image."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Classify images: the most probable classes of each, one result for every image, in order."""
    from finetune.classifier import load
    from finetune.cli.unread_inputs import end_if_unread
    from finetune.data.inputs import expand
    from finetune.data.unread import Unread

    images = expand(inputs, null)
    if explain:
        only = _only_image(images, explain)
        images = iter([only])
    classifier = load(model, network)
    unread, count = Unread(), 0
    for prediction in classifier.predict(images, top=top, ten_crop=ten_crop, abstain_below=abstain_below):
        if strict and prediction.error is not None:
            raise DataError(f"--strict: {prediction.path}: {prediction.error}")
        if prediction.error is not None:
            unread.add(prediction.error)
        count += 1
        print(json.dumps(prediction.to_json()) if as_json else _table(prediction), flush=True)
    end_if_unread(unread, count, "the output")
    if explain:
        from finetune.explain import explain as draw

        draw(classifier, only, explain)


def _only_image(images: "Iterator[Input]", drawing: Path) -> "Input":
    """Return the image that --explain draws; raise UsageError or RunError before anything is computed."""
    from finetune.explain.drawing import check_out

    check_out(drawing, overwrite=False, option="--explain")
    first = list(islice(images, 2))
    if len(first) != 1:
        raise UsageError("--explain draws one image; name one, or use finetune explain for each")
    return first[0]


def _table(prediction: "Prediction") -> str:
    """Return the path and a line for each class, or the reason why the image was not read."""
    path = printable(str(prediction.path))
    if prediction.error:
        return f"{path}\n     not read: {printable(prediction.error)}"
    rows = [
        f"{rank:4}  {score.probability:7.2%}  {printable(score.label)}"
        for rank, score in enumerate(prediction.scores, start=1)
    ]
    return "\n".join([f"{path}  (abstained)" if prediction.abstained else path, *rows])
