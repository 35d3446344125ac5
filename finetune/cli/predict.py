"""`finetune predict`."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.choices import AS_TRAINED
from finetune.cli.options import (
    AbstainBelow,
    ClassNamesOption,
    Inputs,
    InterpolationOption,
    Json,
    MeanOption,
    ModelOption,
    NetworkOption,
    Null,
    ResizeOption,
    Strict,
    TenCrop,
    Top,
    Verbose,
)
from finetune.cli.safe_text import printable
from finetune.cli.terminal import console, is_terminal
from finetune.errors import DataError, UsageError
from finetune.system.nearest_path import did_you_mean_path
from finetune.system.text import percent

if TYPE_CHECKING:
    from finetune.data.inputs import Input
    from finetune.prediction import Prediction

BAR = 20  # columns of a terminal for a probability of 1


def predict(
    inputs: Inputs,
    model: ModelOption = None,
    network: NetworkOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = AS_TRAINED,
    interpolation: InterpolationOption = None,
    class_names: ClassNamesOption = None,
    top: Top = 5,
    ten_crop: TenCrop = False,
    abstain_below: AbstainBelow = 0.0,
    as_json: Json = False,
    null: Null = False,
    strict: Strict = False,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw which parts of one image speak for the predicted class, to a .png, .pdf or .svg.",
        ),
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
    from finetune.cli.unread_inputs import end_if_unread
    from finetune.data.inputs import expand
    from finetune.data.unread import Unread
    from finetune.pretrained.description import Description

    images = expand(inputs, null)
    if explain:
        only = _only_image(images, explain)
        images = iter([only])
    classifier = load(model, network, description=Description(resize, mean, interpolation, class_names))
    unread, count = Unread(), 0
    every = classifier.predict(images, top=top, folders=False, ten_crop=ten_crop, abstain_below=abstain_below)
    for prediction in every:  # a folder in a list is one row, too
        if strict and prediction.error is not None:
            raise DataError(f"--strict: {prediction.path}: {prediction.error}")
        if prediction.error is not None:
            unread.add(prediction.error)
        count += 1
        if as_json:
            print(json.dumps(prediction.to_json()), flush=True)
        elif is_terminal():
            _show(prediction)
        else:
            print(_table(prediction), flush=True)
    end_if_unread(unread, count, "the output")
    if explain:
        from finetune.explain import explain as draw

        draw(classifier, only, explain)


def _only_image(images: "Iterator[Input]", drawing: Path) -> Path | str:
    """Return the image that --explain draws; raise a FinetuneError before anything is computed."""
    from finetune.data.images import FaultyLine
    from finetune.system.figure_file import FIGURE_ENDINGS
    from finetune.system.output_file import check_output_file

    check_output_file(drawing, FIGURE_ENDINGS, overwrite=None, option="--explain")
    first = list(islice(images, 2))
    if len(first) != 1:
        raise UsageError("--explain draws one image; name one, or use finetune explain for each")
    if isinstance(first[0], FaultyLine):
        raise DataError(f"{first[0].place}: {first[0].reason}")
    return first[0]


def _table(prediction: "Prediction") -> str:
    """Return the path and a line for each class, or the reason why the image was not read."""
    if prediction.error:
        return f"{_heading(prediction)}\n     {_not_read(prediction, prediction.error)}"
    rows = [
        f"{rank:4}  {percent(score.probability, 2):>8}  {printable(score.label)}"
        for rank, score in enumerate(prediction.scores, start=1)
    ]
    return "\n".join([_heading(prediction), *rows])


def _show(prediction: "Prediction") -> None:
    """Print to a terminal what `_table` returns, with a bar for each probability; a label too long ends with `…`."""
    from rich.bar import Bar
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    terminal = console()
    terminal.print(_heading(prediction), soft_wrap=True)  # whole, to be copied
    if prediction.error:
        terminal.print(Padding(_not_read(prediction, prediction.error), (0, 0, 0, 5)))
        return
    rows = Table.grid(padding=(0, 2, 0, 0))
    for shortened in (False, False, False, True):
        rows.add_column(no_wrap=not shortened)  # rich takes what is missing from columns that may wrap
    for rank, score in enumerate(prediction.scores, start=1):
        bar = Bar(1, 0, score.probability, width=BAR, color="cyan")
        label = Text(printable(score.label), no_wrap=True, overflow="ellipsis")
        rows.add_row(f"{rank:4}", f"{percent(score.probability, 2):>8}", bar, label)
    terminal.print(rows)


def _not_read(prediction: "Prediction", error: str) -> str:
    near = did_you_mean_path(prediction.path) if isinstance(prediction.path, Path) else ""
    return f"not read: {printable(error + near)}"


def _heading(prediction: "Prediction") -> str:
    path = printable(str(prediction.path))
    return f"{path}  (abstained)" if prediction.abstained else path
