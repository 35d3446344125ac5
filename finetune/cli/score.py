"""`finetune score`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from finetune.choices import AS_TRAINED
from finetune.cli.options import (
    AbstainBelow,
    Address,
    BatchSize,
    ClassNamesOption,
    EngineOption,
    Inputs,
    InterpolationOption,
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


def score(
    inputs: Inputs,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="The file to write: .jsonl, .csv or .parquet; for features .npy, .h5, .mat (MATLAB) or .parquet.",
        ),
    ],
    model: ModelOption = None,
    network: NetworkOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = AS_TRAINED,
    interpolation: InterpolationOption = None,
    class_names: ClassNamesOption = None,
    top: Top = 5,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add the probability of every class, in the order of the classes.")
    ] = False,
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYERS",
            help="Write the outputs of these layers instead of classes: names as in `finetune summary`, separated by "
            "commas, or all. conv5 and fc7 are after their ReLU, fc7:linear is before it.",
        ),
    ] = None,
    pool: Annotated[
        Literal["none", "mean", "max"],
        typer.Option(help="With --features of convolutions: none keeps the maps, mean and max leave a number of each."),
    ] = "none",
    dtype: Annotated[
        Literal["float32", "float16"],
        typer.Option(help="With --features: the type of the numbers; float16 takes half the space, with 3 digits."),
    ] = "float32",
    ten_crop: TenCrop = False,
    abstain_below: AbstainBelow = 0.0,
    batch_size: BatchSize = 32,
    null: Null = False,
    strict: Strict = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue where an interrupted run of this same command stopped.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace FILE, and discard what an interrupted run wrote.")
    ] = False,
    engine: EngineOption = "local",
    address: Address = None,
    verbose: Verbose = False,
) -> None:
    """Classify any number of images into a file, one row for each.

    The rows are in the order of the inputs. If it is interrupted, the same command with --resume continues.

    Examples:
      finetune score images --out scores.csv --model runs/insects
      finetune score stimuli.csv --out acts.h5 --features conv1,conv5,fc7
    """
    from finetune.cli.unread_inputs import end_if_unread
    from finetune.pretrained.description import Description
    from finetune.scoring.score import score as write_scores
    from finetune.scoring.score_options import ScoreOptions
    from finetune.system.typed_value import split_names

    options = ScoreOptions(
        top=top,
        probabilities=probabilities,
        features=split_names(map(str.lower, features or ())),
        pool=pool,
        dtype=dtype,
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
        Description(resize, mean, interpolation, class_names),
        null=null,
        strict=strict,
        resume=resume,
        overwrite=overwrite,
        engine=engine,
        address=address,
    )
    unread = f", {counts.unreadable:,} of them not read" if counts.unreadable else ""
    print(f"{out}: {counts.rows:,} row{'' if counts.rows == 1 else 's'}{unread}")
    end_if_unread(counts.unread, counts.rows, f"{out}.csv" if out.suffix.lower() == ".npy" else str(out))
