"""`finetune summary`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.choices import NETWORK_NAMES
from finetune.cli.options import Json, NetworkOption, Verbose, completes
from finetune.cli.terminal import Table, show
from finetune.errors import UsageError
from finetune.system.text import did_you_mean, shape_text

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
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show the layers of a network: sizes, parameters and costs.

    Field is the side of the receptive field in pixels of the input, and stride the distance of two units there. The
    costs are multiply-adds and memory of the activations for one image.

    Examples:
      finetune summary alexnet
      finetune summary runs/insects --json
    """
    from finetune.networks.summary import summarize

    costs = summarize(_network(of, network))
    if as_json:
        print(json.dumps(costs.to_json()))
    else:
        show(*_report(costs))


def _network(of: str, network: str | None) -> "Network":
    """Return the network that the argument means; `network` decides between those that a weights file fits."""
    from finetune.networks import NETWORKS, build

    if of in NETWORKS:
        if network not in (None, of):
            raise UsageError(f"{of} is a network, and --network {network} another; omit --network")
        return build(of)
    if not Path(of).exists():
        raise UsageError(
            f"{of!r} is not a network{did_you_mean(of, NETWORKS)}, run directory or weights file; "
            f"the networks are {', '.join(NETWORKS)}"
        )
    from finetune.pretrained.infer import network_of
    from finetune.runs.open_model import open_weights

    return network_of(open_weights(of), network)


def _report(costs: "Summary") -> tuple[str, Table, str]:
    """Return one row for every layer, and the totals."""
    header = (
        *("layer", "kind", "input", "output", "field", "stride", "neurons"),
        *("kernel", "parameters", "multiply-adds", "activations"),
    )
    rows = [
        (
            layer.name,
            layer.kind,
            shape_text(layer.input_shape),
            shape_text(layer.output_shape),
            f"{layer.receptive_field:,}",
            f"{layer.stride or ''}",
            f"{layer.neurons:,}" if layer.neurons else "",
            f"{layer.weights.get('kernel', 0):,}",
            f"{layer.parameters:,}",
            f"{layer.multiply_adds:,}",
            _kilobytes(layer.activation_bytes),
        )
        for layer in costs.layers
    ]
    total = (
        *("total", "", "", "", "", ""),
        f"{costs.neurons:,}",
        "",
        f"{costs.parameters:,}",
        f"{costs.multiply_adds:,}",
        _kilobytes(costs.activation_bytes),
    )
    options = ", ".join(f"{name} {value}" for name, value in costs.options.items())
    return (
        f"{costs.network} ({options}), input {shape_text(costs.input_shape)}, for one image",
        Table("llllrrrrrrr", [header, *rows, total], optional=(7, 10, 2, 1, 6, 5)),
        f"{costs.trainable_parameters:,} trainable and {costs.non_trainable_parameters:,} non-trainable parameters\n"
        "field and stride are in pixels of the input; a larger field reaches into padding",
    )


def _kilobytes(count: int) -> str:
    return f"{count / 1000:,.1f} kB"
