"""`finetune explain`."""

from typing import Annotated

import typer

from finetune.cli.options import DrawingFile, ModelOption, NetworkOption, Overwrite, Verbose, lower_case
from finetune.system.table import table
from finetune.system.text import percent


def explain(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Image: a file or a URL.")],
    out: DrawingFile,
    class_name: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Another class to explain, in addition to the predicted one."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER",
            callback=lower_case,
            help="The layer for Grad-CAM, e.g. conv5. [default: the last convolution]",
        ),
    ] = None,
    model: ModelOption = None,
    network: NetworkOption = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Draw which parts of an image speak for the predicted class.

    The drawing shows Grad-CAM and occlusion.

    Examples:
      finetune explain photo.jpg --out why.png
      finetune explain photo.jpg --out why.png --layer conv3 --overwrite
    """
    from finetune.classifier import load
    from finetune.explain import explain as draw

    explanations = draw(load(model, network), image, out, class_name, layer, overwrite=overwrite)
    rows = [
        (meaning, percent(explanation.score.probability, 2), explanation.score.label)
        for meaning, explanation in zip(("predicted", "chosen"), explanations, strict=False)
    ]
    print(f"{table('lrl', rows)}\n{out}")
