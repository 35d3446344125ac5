"""The `finetune benchmark` command. Nothing heavy is imported at the top."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from finetune.choices import NETWORK_NAMES
from finetune.cli.options import completes
from finetune.cli.output import Verbose
from finetune.system.table import table

if TYPE_CHECKING:
    from finetune.networks.benchmark import Benchmark, Timing


def benchmark(
    network: Annotated[
        str,
        typer.Argument(
            help=f"The network to measure: {', '.join(NETWORK_NAMES)}.", autocompletion=completes(*NETWORK_NAMES)
        ),
    ] = "alexnet",
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures per batch.")] = 32,
    batches: Annotated[int, typer.Option(min=1, help="Batches that count, after 10 that do not.")] = 100,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="Arithmetic; auto is bfloat16 where the hardware is fast at it, forward only."),
    ] = "float32",
    from_files: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder of pictures to decode the batches from, end to end. [default: random pixels]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
    verbose: Verbose = False,
) -> None:
    """Measure a network with random weights: forward, and forward with the gradients of all weights."""
    from finetune.networks import build
    from finetune.system.quiet import import_tensorflow

    built = build(network)
    import_tensorflow()
    from finetune.networks.benchmark import benchmark as measure

    measured = measure(built, batch_size, batches, precision, from_files)
    print(json.dumps(measured.to_json()) if as_json else _report(measured, batches, precision))


def _report(measured: "Benchmark", batches: int, asked: str) -> str:
    header = ("", "ms per batch", "images/s", "GFLOP/s", "of a matrix product")
    rows = [_row("forward", measured.forward, measured.matmul_gflops)]
    if asked == "auto" and measured.precision != "float32":  # the rate of the matrix product is not float32's
        rows.append((*_row("forward-backward, float32", measured.forward_backward, measured.matmul_gflops)[:-1], ""))
    else:
        rows.append(_row("forward-backward", measured.forward_backward, measured.matmul_gflops))
    return (
        f"{measured.network}, {batches} batches of {measured.batch_size}, {measured.precision}; "
        f"a matrix product reaches {measured.matmul_gflops:.1f} GFLOP/s\n\n"
        f"{table('lrrrr', [header, *rows])}\n\n"
        "mean ± standard deviation; 2 operations for a multiply-add; backward counted as 2 × forward"
    )


def _row(what: str, timing: "Timing", matmul_gflops: float) -> tuple[str, ...]:
    return (
        what,
        f"{timing.ms_mean:.1f} ± {timing.ms_std:.1f}",
        f"{timing.images_per_second:.1f}",
        f"{timing.gflops:.1f}",
        f"{timing.gflops / matmul_gflops:.0%}",
    )
