"""`finetune export`."""

from pathlib import Path
from typing import Annotated

import typer

from finetune.choices import WEIGHTS_NAMES, ExportFormat
from finetune.cli.options import NetworkOption, Overwrite, Verbose, completes
from finetune.cli.terminal import show


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
        typer.Option(
            help="The format: TensorFlow's SavedModel, Keras, LiteRT, LiteRT with 8-bit integers, ONNX, a dictionary "
            "of arrays, or a web page with weights of 16 or 8 bits."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for the model, its model card and its class names. [default: export-FORMAT in RUN, "
            "NAME-FORMAT next to FILE or, for a NAME, in the current folder]",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Images that calibrate litert-int8, and that measure the loss of 8 bits. [default: the run's images]",
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder dist of the npm package onnxruntime-web, for web and web-int8. "
            "[default: node_modules/onnxruntime-web/dist]",
        ),
    ] = None,
    network: NetworkOption = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Export a model for other programs, and verify the export.

    It is loaded by its own runtime, and kept only if its probabilities are those of predict.

    Examples:
      finetune export runs/insects --to saved_model
      finetune export starter --to keras --out starter-keras
    """
    from finetune.export.export import export as write_export
    from finetune.export.model_card import describe_loss

    exported = write_export(model, to, out, data=data, runtime=runtime, network=network, overwrite=overwrite)
    print(exported.folder)
    if exported.loss:
        show(describe_loss(exported.loss))
