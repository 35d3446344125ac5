"""`finetune reproduce`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.choices import NETWORK_NAMES, WEIGHTS_NAMES
from finetune.cli.options import Overwrite, Verbose, completes
from finetune.errors import UsageError
from finetune.system.option import known_network
from finetune.system.output_file import check_output_file
from finetune.system.table import table
from finetune.system.text import did_you_mean

if TYPE_CHECKING:
    from finetune.training.published_tables import PublishedTable
    from finetune.training.reproduce import Reproduction

LIST = "list"


def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|list",
            help="The published result, e.g. caltech101; list shows all, with where their images come from.",
            autocompletion=completes(LIST, "caltech101", "flowers102"),
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The images as they are published; nothing is fetched.")
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            metavar="WEIGHTS",
            help="Pretrained weights: a published name, a file, or auto, as for finetune train.",
            autocompletion=completes("auto", *WEIGHTS_NAMES),
        ),
    ] = "auto",
    network: Annotated[
        str,
        typer.Option(
            metavar="NETWORK",
            callback=known_network,
            help="The network of the weights.",
            autocompletion=completes(*NETWORK_NAMES),
        ),
    ] = "alexnet",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JSON too.")] = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Repeat a published result, and print it next to ours.

    A linear classifier is fitted on the features of your copy of the images. How close the result comes depends on the
    weights, which are named with it.

    Examples:
      finetune reproduce list
      finetune reproduce caltech101 --data 101_ObjectCategories
    """
    from finetune.training.published_tables import TABLES

    if name == LIST:
        print("\n\n".join(map(_listed, TABLES.values())))
        return
    if name not in TABLES:
        near = did_you_mean(name, TABLES)
        raise UsageError(f"there is no published result {name!r}{near}; there are {' and '.join(TABLES)}")
    chosen = TABLES[name]
    if data is None:
        raise UsageError(f"--data is missing: expected {chosen.folder}, from {chosen.address}; nothing is fetched")
    if out:
        check_output_file(out, overwrite=overwrite)
    from finetune.training.reproduce import reproduce as repeat
    from finetune.training.reproduce import write_reproduction

    found = repeat(chosen, data, weights, network)
    if out:
        write_reproduction(out, found)
    print(_result(found))


def _listed(one: "PublishedTable") -> str:
    """Return a published result, and what repeats it, as lines."""
    rows = [
        (one.name, one.title),
        ("", f"linear classifier on {one.layer}, accuracy {one.measure}"),
        ("published", f"{one.published:.1f} %: {one.by}"),
        ("images", one.address),
        ("--data", one.folder),
    ]
    return table("ll", rows)


def _result(found: "Reproduction") -> str:
    """Return the published result and ours, with the weights that ours is of, as lines."""
    one, ours = found.table, found.accuracies
    spread, of = "", f"{found.splits[0].test_images:,} test images"
    if len(ours) > 1:
        spread, of = f" ± {ours.std(ddof=1):.1f}", f"mean and standard deviation of {len(ours)} splits"
    rows = [
        (one.name, one.title),
        ("images", f"{found.images:,} of {found.classes:,} classes"),
        ("weights", f"{found.weights.name} ({found.network}), linear classifier on {one.layer}"),
        ("accuracy", f"{one.measure}; {of}"),
        ("ours", f"{ours.mean():.1f}{spread} % with {found.weights.name}"),
        ("published", f"{one.published:.1f} %: {one.by}"),
    ]
    return table("ll", rows)
