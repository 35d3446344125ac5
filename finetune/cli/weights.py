"""The `finetune weights` commands: list, fetch, inspect, convert. Nothing heavy is imported at the top."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetune.choices import WEIGHTS_NAMES
from finetune.cli.options import completes
from finetune.cli.output import Verbose
from finetune.errors import UsageError
from finetune.system.table import table
from finetune.system.text import did_you_mean

if TYPE_CHECKING:
    from finetune.pretrained.inspect import FileFacts, TensorFacts

app = typer.Typer(
    help="Published weights and weights files: list, fetch, inspect, convert.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")]


@app.callback()
def _options(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list")
def list_weights(as_json: Json = False, verbose: Verbose = False) -> None:
    """Show the published weights: network, size, accuracy in %, whether they are on this machine, digest, licence.

    --json has digests in full, addresses and paths.
    """
    from finetune.pretrained.catalogue import CATALOGUE

    entries = [_entry(name) for name in CATALOGUE]
    if as_json:
        print("\n".join(json.dumps(entry) for entry in entries))
        return
    header = ("name", "network", "MB", "top-1", "top-5", "here", "digest", "licence")
    print(table("llrrrlll", [header, *map(_row, entries)]))


def _entry(name: str) -> dict[str, Any]:
    from finetune.pretrained.catalogue import CATALOGUE, find

    entry, path = CATALOGUE[name], find(name)
    known = [source.size for source in entry.sources if source.size]
    return {
        "name": name,
        "network": entry.network,
        "num_classes": entry.num_classes,
        "bytes": known[0] if known else path.stat().st_size if path else None,
        "digest": entry.digest,
        "licence": entry.licence,
        "top1": entry.top1,
        "top5": entry.top5,
        "sources": [source.url for source in entry.sources],
        "path": str(path) if path else None,
    }


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    return (
        entry["name"],
        entry["network"],
        f"{entry['bytes'] / 1e6:.0f}" if entry["bytes"] else "-",
        *(f"{entry[top]:.1f}" if entry[top] else "-" for top in ("top1", "top5")),
        "yes" if entry["path"] else "-",
        (entry["digest"] or "-").rpartition(":")[2][:8],
        entry["licence"].rpartition(": ")[2],  # a terminal's line holds no more; in full with --json
    )


@app.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help=f"Name of published weights: {', '.join(WEIGHTS_NAMES)}.", autocompletion=completes(*WEIGHTS_NAMES)
        ),
    ],
    verbose: Verbose = False,
) -> None:
    """Download published weights into the user's cache; what broke off goes on where it stopped."""
    from finetune.pretrained.catalogue import CATALOGUE
    from finetune.pretrained.fetch import fetch as fetch_weights

    if name not in CATALOGUE:
        raise UsageError(
            f"there are no published weights {name!r}{did_you_mean(name, CATALOGUE)}; "
            f"the names are {', '.join(CATALOGUE)}"
        )
    print(fetch_weights(name))


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="Weights file of any format.")],
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show what is in a weights file: layers, shapes, ranges, digest, and the networks it fits."""
    from finetune.pretrained.inspect import inspect_weights

    facts = inspect_weights(file)
    print(json.dumps(facts.to_json()) if as_json else _facts(facts))


def _facts(facts: "FileFacts") -> str:
    about = [
        ("file", facts.path),
        ("format", facts.format),
        ("size", f"{facts.bytes:,} bytes"),
        ("sha256", facts.sha256),
        ("networks", ", ".join(facts.networks) or "none"),
        ("layers", ", ".join(facts.layers)),
    ]
    header = ("tensor", "shape", "dtype", "min", "max", "mean")
    return f"{table('ll', about)}\n\n{table('lllrrr', [header, *map(_tensor_row, facts.tensors)])}"


def _tensor_row(tensor: "TensorFacts") -> tuple[str, ...]:
    values = (tensor.min, tensor.max, tensor.mean)
    numbers = ("not finite" if value is None else f"{value:.4g}" for value in values)
    return (tensor.name, "×".join(map(str, tensor.shape)), tensor.dtype, *numbers)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Weights file of any format.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="New file: .npy, .npz or .safetensors.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    verbose: Verbose = False,
) -> None:
    """Write a weights file in another format, every number as it was."""
    from finetune.pretrained.convert import convert as convert_weights

    convert_weights(source, target, overwrite=overwrite)
    print(target)
