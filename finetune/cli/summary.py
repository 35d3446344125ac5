"""The `finetune summary` command: what a network costs, layer by layer. Nothing heavy is imported at the top."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.choices import NETWORK_NAMES
from finetune.cli.options import completes
from finetune.cli.output import Verbose
from finetune.cli.predict import NetworkOption
from finetune.errors import UsageError
from finetune.system.table import table
from finetune.system.text import did_you_mean

if TYPE_CHECKING:
    from finetune.networks import Network
    from finetune.networks.summary import Summary


def summary(
    of: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK|RUN|FILE",
            help=f"Run directory, weights file, or network: {', '.join(NETWORK_NAMES)}.",
            autocompletion=completes(*NETWORK_NAMES),
        ),
    ],
    network: NetworkOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show the size of every layer's output, its parameters, multiply-adds and activation memory for one picture."""
    from finetune.networks.summary import summarize

    costs = summarize(_network(of, network))
    print(json.dumps(costs.to_json()) if as_json else _report(costs))


def _network(of: str, network: str | None) -> "Network":
    from finetune.networks import NETWORKS, build

    if of in NETWORKS:
        return build(of)
    if not Path(of).exists():
        raise UsageError(
            f"{of!r} is no network{did_you_mean(of, NETWORKS)}, run directory or weights file; "
            f"the networks are {', '.join(NETWORKS)}"
        )
    from finetune.pretrained.infer import network_of
    from finetune.runs.open_model import open_weights

    return network_of(open_weights(of), network)


def _report(costs: "Summary") -> str:
    header = ("layer", "kind", "output", "kernel", "parameters", "multiply-adds", "activations")
    rows = [
        (
            layer.name,
            layer.kind,
            _times(layer.output_shape),
            f"{layer.weights.get('kernel', 0):,}",
            f"{layer.parameters:,}",
            f"{layer.multiply_adds:,}",
            _kilobytes(layer.activation_bytes),
        )
        for layer in costs.layers
    ]
    total = (
        "total",
        "",
        "",
        "",
        f"{costs.parameters:,}",
        f"{costs.multiply_adds:,}",
        _kilobytes(costs.activation_bytes),
    )
    options = ", ".join(f"{name} {value}" for name, value in costs.options.items())
    return (
        f"{costs.network} ({options}), input {_times(costs.input_shape)}, for one picture\n\n"
        f"{table('lllrrrr', [header, *rows, total])}\n\n"
        f"{costs.trainable_parameters:,} of the parameters can be trained"
    )


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _kilobytes(count: int) -> str:
    return f"{count / 1000:,.1f} kB"
