"""`finetune predict`."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.cli.exit_codes import SOME_UNREADABLE
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
from finetune.system.nearest_path import did_you_mean_path

if TYPE_CHECKING:
    from finetune.data.inputs import Input
    from finetune.prediction import Prediction


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
    """Classify images: the most probable classes of each.

    There is one result for every image, in order.

    Examples:
      finetune predict photo.jpg --model runs/insects
      finetune predict images --model starter --json
    """
    from finetune.classifier import load
    from finetune.data.inputs import expand

    images = expand(inputs, null)
    if explain:
        only = _only_image(images, explain)
        images = iter([only])
    classifier = load(model, network)
    unreadable = False
    every = classifier.predict(images, top=top, folders=False, ten_crop=ten_crop, abstain_below=abstain_below)
    for prediction in every:  # a folder in a list is one row, too
        if strict and prediction.error is not None:
            raise DataError(f"--strict: {prediction.path}: {prediction.error}")
        unreadable |= prediction.error is not None
        print(json.dumps(prediction.to_json()) if as_json else _table(prediction), flush=True)
    if unreadable:
        raise typer.Exit(SOME_UNREADABLE)
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
        near = did_you_mean_path(prediction.path) if isinstance(prediction.path, Path) else ""
        return f"{path}\n     not read: {printable(prediction.error + near)}"
    rows = [
        f"{rank:4}  {score.probability:7.2%}  {printable(score.label)}"
        for rank, score in enumerate(prediction.scores, start=1)
    ]
    return "\n".join([f"{path}  (abstained)" if prediction.abstained else path, *rows])
