"""The `finetune explain` and `finetune filters` commands. Nothing heavy is imported at the top."""

from pathlib import Path
from typing import Annotated

import typer

from finetune.cli.output import Verbose
from finetune.cli.predict import ModelOption, NetworkOption
from finetune.system.table import table

Out = Annotated[Path, typer.Option(metavar="FILE", help="The PNG to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")]


def explain(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Picture: a file or a URL.")],
    out: Out,
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Another class to explain beside the predicted one.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="The layer of Grad-CAM, e.g. conv5. [default: the last convolution]")
    ] = None,
    model: ModelOption = None,
    network: NetworkOption = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Draw where in a picture the predicted class lies: Grad-CAM, and what covering each place costs."""
    from finetune.classifier import load
    from finetune.explain import explain as draw

    explanations = draw(load(model, network), image, out, class_name, layer, overwrite=overwrite)
    rows = [
        (meaning, f"{explanation.score.probability:.2%}", explanation.score.label)
        for meaning, explanation in zip(("predicted", "chosen"), explanations, strict=False)
    ]
    print(f"{table('lrl', rows)}\n{out}")


def filters(
    out: Out,
    image: Annotated[
        str | None, typer.Argument(metavar="IMAGE", help="Picture, a file or a URL: draw what answers to it.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="The layer, e.g. conv1. [default: the first convolution]")] = None,
    model: ModelOption = None,
    network: NetworkOption = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Draw the kernels of the first convolution, or with IMAGE the strongest activations of a layer."""
    from finetune.classifier import load
    from finetune.explain import show_filters

    strongest = show_filters(load(model, network), out, layer, image, overwrite=overwrite)
    rows = [("channel", "largest"), *((str(channel), f"{values.max():.4g}") for channel, values in strongest)]
    print(f"{table('rr', rows)}\n{out}" if strongest else out)
