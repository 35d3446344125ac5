"""The `finetune predict` command, and what `score` shares with it. Nothing heavy is imported at the top."""

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.choices import NETWORK_NAMES, WEIGHTS_NAMES
from finetune.cli.evaluate import SOME_UNREADABLE
from finetune.cli.options import completes
from finetune.cli.output import Verbose, printable
from finetune.errors import DataError, UsageError

if TYPE_CHECKING:
    from finetune.classifier import Prediction

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Pictures: files, folders, 'globs', URLs, @LIST (a name a line), a CSV with a column path, "
        "or - for names on stdin.",
    ),
]
Null = Annotated[bool, typer.Option("-0", "--null", help="Names on stdin end with NUL, as of find -print0.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Run directory, model or weights file, or name of published weights. "
        "[default: the newest run in ./runs, else bvlc_alexnet, else starter]",
        autocompletion=completes(*WEIGHTS_NAMES),
    ),
]
NetworkOption = Annotated[
    str | None,
    typer.Option(
        "--network",
        help="The network in the file, where several fit, e.g. caffenet.",
        autocompletion=completes(*NETWORK_NAMES),
    ),
]
Top = Annotated[int, typer.Option(min=1, help="How many classes to show.")]
TenCrop = Annotated[
    bool, typer.Option("--ten-crop", help="Mean over the corners, the centre and their mirror images: slower, better.")
]
AbstainBelow = Annotated[
    float, typer.Option(min=0, max=1, help="Say so where the first class is less probable than this, e.g. 0.8.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first input that cannot be read.")]


def predict(
    inputs: Inputs,
    model: ModelOption = None,
    network: NetworkOption = None,
    top: Top = 5,
    ten_crop: TenCrop = False,
    abstain_below: AbstainBelow = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")] = False,
    null: Null = False,
    strict: Strict = False,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw where the predicted class lies, to a PNG; for one picture."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Classify pictures: the most probable classes of each, one row for every picture, in order."""
    from finetune.classifier import load
    from finetune.data.inputs import expand

    pictures = expand(inputs, null)
    if explain:
        from finetune.explain import drawing

        drawing.check_out(explain, overwrite=False, option="--explain")
        first = list(islice(pictures, 2))
        if len(first) != 1:
            raise UsageError("--explain draws one picture; name one, or use finetune explain for each")
        pictures = iter(first)
    classifier = load(model, network)
    unreadable = False
    for prediction in classifier.predict(pictures, top=top, ten_crop=ten_crop, abstain_below=abstain_below):
        if strict and prediction.error is not None:
            raise DataError(f"--strict: {prediction.path}: {prediction.error}")
        unreadable |= prediction.error is not None
        print(json.dumps(prediction.to_json()) if as_json else _table(prediction), flush=True)
    if unreadable:
        raise typer.Exit(SOME_UNREADABLE)
    if explain:
        from finetune.explain import explain as draw

        draw(classifier, first[0], explain)


def _table(prediction: "Prediction") -> str:
    path = printable(str(prediction.path))
    if prediction.error:
        return f"{path}\n     not read: {printable(prediction.error)}"
    rows = [
        f"{rank:4}  {score.probability:7.2%}  {printable(score.label)}"
        for rank, score in enumerate(prediction.scores, start=1)
    ]
    return "\n".join([f"{path}  (abstained)" if prediction.abstained else path, *rows])
