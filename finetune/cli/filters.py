"""`finetune filters`."""

from typing import Annotated

import typer

from finetune.cli.options import DrawingFile, ModelOption, NetworkOption, Overwrite, Verbose, lower_case
from finetune.system.table import table


def filters(
    out: DrawingFile,
    image: Annotated[
        str | None,
        typer.Argument(metavar="IMAGE", help="Image, a file or a URL: draw the channels that respond to it most."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER", callback=lower_case, help="The layer, e.g. conv1. [default: the first convolution]"
        ),
    ] = None,
    model: ModelOption = None,
    network: NetworkOption = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Draw the kernels of a layer or, with IMAGE, its activations.

    Without IMAGE, the kernels of the first convolution are drawn, with IMAGE the channels that respond to it most.

    Examples:
      finetune filters --out kernels.png
      finetune filters photo.jpg --out conv3.png --layer conv3
    """
    from finetune.classifier import load
    from finetune.explain import show_filters

    strongest = show_filters(load(model, network), out, layer, image, overwrite=overwrite)
    rows = [("channel", "largest"), *((str(channel), f"{values.max():.4g}") for channel, values in strongest)]
    print(f"{table('rr', rows)}\n{out}" if strongest else out)
