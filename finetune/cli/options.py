"""The options that several commands share, and the completion of names in the shell."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from finetune.choices import NETWORK_NAMES, WEIGHTS_NAMES, Engine, Interpolation, Resize
from finetune.cli.output import set_up_logging
from finetune.system.option import known_network


def completes(*names: str) -> Callable[[str], list[str]]:
    """Return a function that lists the names that start with a word, as Typer's `autocompletion`.

    Other names and files are allowed too: if no name starts with the word, bash completes file names.
    """

    def matching(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return matching


def lower_case(name: str | None) -> str | None:
    """Return the name of a layer as the networks spell it."""
    return name and name.lower()


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Images: files, folders, 'globs', URLs, @LIST (one name per line), a CSV or Parquet file with a column "
        "path, or - for names on stdin.",
    ),
]
Null = Annotated[bool, typer.Option("-0", "--null", help="Names on stdin end with NUL, as from find -print0.")]
RunDirectory = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory written by `finetune train`.")]

_MODEL = (
    "Run directory, model or weights file, or name of published weights. "
    "[default: the newest run in ./runs, otherwise bvlc_alexnet, otherwise starter]"
)
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help=_MODEL, autocompletion=completes(*WEIGHTS_NAMES)),
]
ModelArgument = Annotated[
    str | None,
    typer.Argument(metavar="RUN|FILE|NAME", help=_MODEL, autocompletion=completes(*WEIGHTS_NAMES)),
]
NetworkOption = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NETWORK",
        callback=known_network,
        help="The network of a weights file that fits several, e.g. caffenet.",
        autocompletion=completes(*NETWORK_NAMES),
    ),
]

ResizeOption = Annotated[
    Resize | None,
    typer.Option(
        help="For weights that do not describe themselves: how an image becomes square; crop takes its centre, warp "
        "squeezes all of it. [default: as is usual for the network]"
    ),
]
MeanOption = Annotated[
    str,
    typer.Option(
        metavar="weights|none|B,G,R",
        help="For such weights: what is subtracted from the pixels of 0 to 255: the mean that is usual for the network "
        "(weights), nothing (none), or these numbers for blue, green and red.",
    ),
]
InterpolationOption = Annotated[
    Interpolation | None,
    typer.Option(
        help="For such weights: how images shrink, by averages (area) or between four pixels (linear), as cv2.resize "
        "by default. [default: area]"
    ),
]
ClassNamesOption = Annotated[
    Path | None,
    typer.Option(
        "--class-names",
        metavar="FILE",
        help="For such weights: a text file with the names of the classes, one per line. [default: ImageNet's for "
        "1,000 classes, otherwise numbers]",
    ),
]

Top = Annotated[int, typer.Option(metavar="N", min=1, help="How many classes to list for each image.")]
TenCrop = Annotated[
    bool,
    typer.Option(
        "--ten-crop", help="Average over the four corners, the centre and their mirror images: slower, more accurate."
    ),
]
AbstainBelow = Annotated[
    float,
    typer.Option(
        metavar="PROBABILITY", min=0, max=1, help="Abstain if the first class is less probable than this, e.g. 0.8."
    ),
]
BatchSize = Annotated[int, typer.Option(metavar="N", min=1, help="Images per batch.")]
EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="Compute on this machine (local), or on a Ray cluster with one copy of the network on each machine (ray).",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="The Ray cluster, joined from one of its machines; the images must have the same path on all of them. "
        "[default: start Ray on this machine]",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first input that cannot be read.")]

DrawingFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="The drawing to write: .png, .pdf or .svg.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", callback=set_up_logging, help="Show more detail, and TensorFlow's own messages."),
]

Port = Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="The port; 0 takes a free one.")]
Host = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS", help="The address to listen on; 0.0.0.0 lets other machines in, and needs --token."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(metavar="SECRET", help="Answer only requests that present this: Authorization: Bearer SECRET."),
]
