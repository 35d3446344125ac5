"""`finetune weights`: list, fetch, inspect, convert."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetune.choices import WEIGHTS_NAMES
from finetune.cli.command import Command, CommandGroup
from finetune.cli.options import Json, Overwrite, Verbose, completes
from finetune.cli.terminal import Table, show
from finetune.errors import UsageError
from finetune.system.text import did_you_mean, shape_text

if TYPE_CHECKING:
    from finetune.pretrained.inspect import FileFacts, TensorFacts

app = typer.Typer(
    cls=CommandGroup,
    help="Work with weights files: list, fetch, inspect, convert.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def _options(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list", cls=Command)
def list_weights(as_json: Json = False, verbose: Verbose = False) -> None:
    """List the published weights, and which are on this machine.

    The columns are network, size, accuracy in %, whether they are here, digest and licence. --json adds full digests,
    addresses and paths.

    Examples:
      finetune weights list
      finetune weights list --json
    """
    from finetune.pretrained.catalogue import CATALOGUE

    entries = [_entry(name) for name in CATALOGUE]
    if as_json:
        print("\n".join(json.dumps(entry) for entry in entries))
        return
    header = ("name", "network", "MB", "top-1", "top-5", "here", "digest", "licence")
    show(Table("llrrrlll", [header, *map(_row, entries)], optional=(6, 7, 4)))


def _entry(name: str) -> dict[str, Any]:
    """Return the facts about published weights as `--json` prints them."""
    from finetune.pretrained.catalogue import CATALOGUE
    from finetune.pretrained.locate import find
    from finetune.pretrained.verify import why_unverified

    entry, path = CATALOGUE[name], find(name)
    known = [download.size for download in entry.downloads if download.size]
    return {
        "name": name,
        "network": entry.network,
        "num_classes": entry.num_classes,
        "bytes": known[0] if known else path.stat().st_size if path else None,
        "digest": entry.digest,
        "licence": entry.licence,
        "top1": entry.top1,
        "top5": entry.top5,
        "sources": [download.url for download in entry.downloads],
        "path": str(path) if path else None,
        "unverified": why_unverified(path) if path else None,
    }


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    return (
        entry["name"],
        entry["network"],
        f"{entry['bytes'] / 1e6:.0f}" if entry["bytes"] else "-",
        *(f"{entry[top]:.1f}" if entry[top] else "-" for top in ("top1", "top5")),
        "unverified" if entry["unverified"] else "yes" if entry["path"] else "-",
        (entry["digest"] or "-").rpartition(":")[2][:8],
        entry["licence"].rpartition(": ")[2],  # short enough for a terminal; --json has all of it
    )


@app.command(cls=Command)
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help=f"Name of published weights: {', '.join(WEIGHTS_NAMES)}.",
            autocompletion=completes(*WEIGHTS_NAMES),
        ),
    ],
    verbose: Verbose = False,
) -> None:
    """Download published weights into your cache.

    An interrupted download continues where it stopped.

    Examples:
      finetune weights fetch bvlc_alexnet
      finetune weights fetch torchvision_alexnet
    """
    from finetune.pretrained.catalogue import CATALOGUE
    from finetune.pretrained.fetch import fetch as fetch_weights

    if name not in CATALOGUE:
        raise UsageError(
            f"no published weights are called {name!r}{did_you_mean(name, CATALOGUE)}; "
            f"the names are {', '.join(CATALOGUE)}"
        )
    print(fetch_weights(name))


@app.command(cls=Command)
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Weights file of any supported format.")],
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show what is in a weights file, and which networks it fits.

    Shown are its layers, the shape and range of every tensor, and its digest.

    Examples:
      finetune weights inspect runs/insects/model.safetensors
      finetune weights inspect runs/insects/model.safetensors --json
    """
    from finetune.pretrained.inspect import inspect_weights

    facts = inspect_weights(file)
    if as_json:
        print(json.dumps(facts.to_json()))
    else:
        show(*_report(facts))


def _report(facts: "FileFacts") -> tuple[Table, Table]:
    verdict = f"unverified: {facts.unverified}" if facts.unverified else "verified"
    about = [
        ("file", facts.path),
        ("format", facts.format),
        ("size", f"{facts.bytes:,} bytes"),
        ("sha256", facts.sha256),
        *([("named like", f"{facts.published} ({verdict})")] if facts.published else []),
        ("networks", ", ".join(facts.networks) or "none"),
        ("layers", ", ".join(facts.layers)),
    ]
    header = ("tensor", "shape", "dtype", "min", "max", "mean")
    tensors = Table("lllrrr", [header, *map(_tensor_row, facts.tensors)], optional=(2, 5))
    return Table("ll", about, header=False), tensors


def _tensor_row(tensor: "TensorFacts") -> tuple[str, ...]:
    values = (tensor.min, tensor.max, tensor.mean)
    numbers = ("not finite" if value is None else f"{value:.4g}" for value in values)
    return (tensor.name, shape_text(tensor.shape), tensor.dtype, *numbers)


@app.command(cls=Command)
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Weights file of any supported format.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="New file: .npy, .npz or .safetensors.")],
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Write a weights file in another format, bit for bit.

    Examples:
      finetune weights convert runs/insects/model.safetensors insects.npz
      finetune weights convert bvlc_alexnet.caffemodel bvlc_alexnet.npy
    """
    from finetune.pretrained.convert import convert as convert_weights

    convert_weights(source, target, overwrite=overwrite)
    print(target)
