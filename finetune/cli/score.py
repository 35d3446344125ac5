"""The `finetune score` command. Nothing heavy is imported at the top."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from finetune.cli.evaluate import SOME_UNREADABLE
from finetune.cli.output import Verbose
from finetune.cli.predict import AbstainBelow, Inputs, ModelOption, NetworkOption, Null, Strict, TenCrop, Top


def score(
    inputs: Inputs,
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write: .jsonl, .csv, .parquet or .npy.")],
    model: ModelOption = None,
    network: NetworkOption = None,
    top: Top = 5,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add the probability of every class, in the order of the classes.")
    ] = False,
    features: Annotated[
        str | None,
        typer.Option(metavar="LAYER", help="What this layer gives, e.g. fc7, to .npy or .parquet, and no classes."),
    ] = None,
    pool: Annotated[
        Literal["none", "mean"],
        typer.Option(help="Maps of a convolution whole, or their mean over height and width; with --features."),
    ] = "none",
    ten_crop: TenCrop = False,
    abstain_below: AbstainBelow = 0.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures computed at once.")] = 32,
    null: Null = False,
    strict: Strict = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a stopped run of this same command left off.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE and what a stopped run left.")] = False,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            help="Where rows are made: on this machine, or by Ray, with a model on every machine of a cluster."
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The Ray cluster, joined from one of its machines; the pictures must lie on every machine under the "
            "same path. [default: Ray is started on this machine]",
        ),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Classify any number of pictures into one file, a row for each, in order; killed, it goes on with --resume."""
    from finetune.scoring.rows import ScoreOptions
    from finetune.scoring.score import score as write_scores

    options = ScoreOptions(
        top=top,
        probabilities=probabilities,
        features=features,
        pool=pool,
        ten_crop=ten_crop,
        abstain_below=abstain_below,
        batch_size=batch_size,
    )
    counts = write_scores(
        inputs,
        out,
        options,
        model,
        network,
        null=null,
        strict=strict,
        resume=resume,
        overwrite=overwrite,
        engine=engine,
        address=address,
    )
    print(f"{out}: {counts.rows} rows, {counts.unreadable} of them not read")
    if counts.unreadable:
        raise typer.Exit(SOME_UNREADABLE)
