"""`finetune filters`."""

from itertools import chain, islice
from typing import Annotated

import typer

from finetune.cli.options import DrawingFile, ModelOption, NetworkOption, Overwrite, Verbose, lower_case
from finetune.cli.safe_text import printable
from finetune.errors import UsageError
from finetune.system.table import numbers, table


def filters(
    out: DrawingFile,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Images: files, folders, 'globs', URLs, @LIST, a CSV or Parquet file with a column path. Of one, the "
            "channels that respond to it most are drawn; of several, those that drive each channel most.",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER", callback=lower_case, help="The layer, e.g. conv1. [default: the first convolution]"
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANNELS",
            help="Numbers of channels, separated by commas; --optimize needs them. [default: the 16 strongest]",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=100, help="How many images to draw of each channel. [default: 9]"),
    ] = None,
    optimize: Annotated[
        bool, typer.Option("--optimize", help="Make an image that drives each channel most, by gradient ascent.")
    ] = False,
    model: ModelOption = None,
    network: NetworkOption = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Draw what a layer responds to: kernels, images or activations.

    Without images, the kernels of the first convolution are drawn. Images are cropped to what the strongest unit of the
    channel sees.

    Examples:
      finetune filters images --out conv5.png --layer conv5
      finetune filters --out units.pdf --layer conv5 --channel 12,40 --optimize
    """
    from finetune.classifier import load
    from finetune.cli.unread_inputs import end_if_unread
    from finetune.data.inputs import expand
    from finetune.explain import show_driving_images, show_filters, show_optimized_images
    from finetune.explain.driving_images import TOP

    channels = _numbers(channel or [])
    if optimize:
        if inputs or top:
            raise UsageError("--optimize makes its images; omit the images, and --top")
        made = show_optimized_images(load(model, network), out, layer, channels, overwrite=overwrite)
        rows = zip([str(image.channel) for image in made], numbers([image.value for image in made]), strict=True)
        print(f"{table('rr', [('channel', 'value'), *rows])}\n{out}")
        return
    images = expand(inputs or [])
    first = list(islice(images, 2))
    if len(first) < 2 and top is None:
        only = first[0] if first else None
        maps = show_filters(load(model, network), out, layer, only, channels, overwrite=overwrite)
        rows = zip([str(one.channel) for one in maps], numbers([one.map.max() for one in maps]), strict=True)
        print(f"{table('rr', [('channel', 'largest'), *rows])}\n{out}" if maps else out)
        return
    classifier = load(model, network)
    every = chain(first, images)
    found = show_driving_images(classifier, out, every, layer, channels, top or TOP, overwrite=overwrite)
    if found.channels:
        every_image = [(number, image) for number, strongest in found.channels for image in strongest]
        values = numbers([image.value for _, image in every_image])
        driven = [
            (str(number), value, printable(str(image.path)))
            for (number, image), value in zip(every_image, values, strict=True)
        ]
        print(f"{table('rrl', [('channel', 'value', 'image'), *driven])}\n{out}")
    end_if_unread(found.unread, found.images, "the output of finetune predict")


def _numbers(texts: list[str]) -> list[int]:
    """Return the numbers of channels that --channel names."""
    from finetune.system.typed_value import split_names

    names = split_names(texts)
    for name in names:
        if not (name.isascii() and name.isdigit()):
            raise UsageError(f"--channel: expected numbers of channels, such as 12,40, got {name!r}")
    return [int(name) for name in names]
