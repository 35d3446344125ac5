"""The `finetune export` command. Nothing heavy is imported at the top."""

from pathlib import Path
from typing import Annotated

import typer

from finetune.choices import WEIGHTS_NAMES, ExportFormat
from finetune.cli.options import completes
from finetune.cli.output import Verbose
from finetune.cli.predict import NetworkOption


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FILE|NAME",
            help="Run directory, model or weights file, or name of published weights.",
            autocompletion=completes(*WEIGHTS_NAMES),
        ),
    ],
    to: Annotated[
        ExportFormat,
        typer.Option(help="The format: of TensorFlow and its server, Keras, LiteRT, ONNX, or a dictionary of arrays."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for the model, its card and its classes. [default: export-FORMAT in RUN, NAME-FORMAT "
            "beside FILE or, for a NAME, here]",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Pictures for the ranges of litert-int8. [default: the run's training pictures]",
        ),
    ] = None,
    network: NetworkOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the export that the folder holds.")] = False,
    verbose: Verbose = False,
) -> None:
    """Write a model for another program, load it again there, compare it with predict, and add a model card."""
    from finetune.export.export import export as write_export
    from finetune.export.model_card import describe_loss

    exported = write_export(model, to, out, data=data, network=network, overwrite=overwrite)
    print(exported.folder)
    if exported.loss:
        print(describe_loss(exported.loss))
