"""`finetune benchmark`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.choices import NETWORK_NAMES, PrecisionOption
from finetune.cli.options import BatchSize, Json, Verbose, completes
from finetune.cli.terminal import Table, show
from finetune.system.text import percent

if TYPE_CHECKING:
    from finetune.networks.benchmark import Benchmark, Timing


def benchmark(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help=f"The network to measure: {', '.join(NETWORK_NAMES)}.",
            autocompletion=completes(*NETWORK_NAMES),
        ),
    ] = "alexnet",
    batch_size: BatchSize = 32,
    batches: Annotated[
        int, typer.Option(metavar="N", min=1, help="Batches to measure, after 10 for warming up.")
    ] = 100,
    precision: Annotated[
        PrecisionOption,
        typer.Option(
            help="Arithmetic; auto is bfloat16 where the hardware is fast at it, for the forward pass only.",
        ),
    ] = "float32",
    from_files: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Folder of images to read and decode as part of the measurement. [default: random pixels]",
        ),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure how fast a network runs on this machine.

    Measured are the forward pass, and the forward pass with the gradients of all weights; the weights are random. With
    -v, every tenth batch has a line with the time of day and its seconds.

    Examples:
      finetune benchmark alexnet
      finetune benchmark alexnet-owt --batch-size 8 --batches 20
    """
    from finetune.networks import build
    from finetune.system.quiet import import_tensorflow

    built = build(network)
    import_tensorflow()
    from finetune.networks.benchmark import benchmark as measure

    measured = measure(built, batch_size, batches, precision, from_files)
    if as_json:
        print(json.dumps(measured.to_json()))
    else:
        show(*_report(measured, batches, precision))


def _report(measured: "Benchmark", batches: int, precision: str) -> tuple[str, Table, str]:
    """Return the measurement as a table with a line above and below; `precision` is the one asked for."""
    header = ("", "ms per batch", "images/s", "GFLOP/s", "of a matrix product")
    rows = [_row("forward", measured.forward, measured.matmul_gflops)]
    if precision == "auto" and measured.precision != "float32":  # the matrix product was not measured in float32
        rows.append((*_row("forward-backward, float32", measured.forward_backward, measured.matmul_gflops)[:-1], ""))
    else:
        rows.append(_row("forward-backward", measured.forward_backward, measured.matmul_gflops))
    return (
        f"{measured.network}, {batches} batches of {measured.batch_size}, {measured.precision}; "
        f"a matrix product reaches {measured.matmul_gflops:.1f} GFLOP/s",
        Table("lrrrr", [header, *rows]),
        "mean ± standard deviation; a multiply-add counts as 2 operations, backward as 2 × forward",
    )


def _row(name: str, timing: "Timing", matmul_gflops: float) -> tuple[str, ...]:
    return (
        name,
        f"{timing.ms_mean:.1f} ± {timing.ms_std:.1f}",
        f"{timing.images_per_second:.1f}",
        f"{timing.gflops:.1f}",
        percent(timing.gflops / matmul_gflops, 0),
    )
