"""The published weights by name, and where on this machine their files lie."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from finetune.errors import WeightsError, did_you_mean


@dataclass(frozen=True)
class Entry:
    """One published set of weights: the files it is known as, best first, and where they come from."""

    name: str
    network: str
    files: tuple[str, ...]
    source: str
    licence: str
    top1: float
    top5: float


# Accuracies are per cent on the ILSVRC 2012 validation set, centre crop, as their publishers state them.
CATALOGUE = {
    entry.name: entry
    for entry in (
        Entry(
            name="bvlc_alexnet",
            network="alexnet",
            files=("bvlc_alexnet.safetensors", "bvlc_alexnet.npy", "bvlc_alexnet.caffemodel"),
            source="http://www.cs.toronto.edu/~guerzhoy/tf_alexnet/bvlc_alexnet.npy",
            licence="unrestricted use",
            top1=57.1,
            top5=80.2,
        ),
        Entry(
            name="starter",
            network="alexnet",
            files=("starter.safetensors",),
            source="part of this package",
            licence="trained on Tiny ImageNet: research and education",
            top1=48.3,  # on Tiny ImageNet's 200 classes; see weights/README.md
            top5=72.0,
        ),
    )
}

PUBLISHED = {"alexnet": "bvlc_alexnet"}  # the weights that `auto` looks for first, by network
FALLBACK = {"alexnet": "starter"}  # what `auto` takes when they are not there


def folders() -> list[Path]:
    """Return where files of the catalogue are looked for, in order; some may not exist."""
    package = Path(__file__).parents[1]
    own = package / "weights" if (package / "weights").is_dir() else package.parent / "weights"  # wheel or checkout
    chosen = os.environ.get("FINETUNE_WEIGHTS")
    cache = Path(platformdirs.user_cache_dir("finetune"), "weights")
    return [*([Path(chosen)] if chosen else []), Path("weights"), own, cache]


def find(name: str) -> Path | None:
    """Return the file of the catalogue entry `name`, or None when it is nowhere; KeyError for an unknown name."""
    candidates = (folder / file for folder in folders() for file in CATALOGUE[name].files)
    return next((path for path in candidates if path.is_file()), None)


def resolve(ref: str) -> tuple[Path, str]:
    """Return the file that a name of the catalogue or a path means, and its name; raise WeightsError if there is none.

    A name never falls back to other weights.
    """
    if ref in CATALOGUE:
        if path := find(ref):
            return path, ref
        entry = CATALOGUE[ref]
        raise WeightsError(
            f"weights {ref!r} are not on this machine: get {entry.source} and put it into {folders()[0].absolute()} "
            f"as {entry.files[-2]}; --weights starter works at once"
        )
    path = Path(ref)
    if path.is_file():
        return path, path.name
    if path.is_dir():
        raise WeightsError(f"expected a weights file, but {ref} is a folder; name the file in it")
    raise WeightsError(
        f"weights {ref!r}: no such file, and no such name{did_you_mean(ref, CATALOGUE)}; "
        f"the names are {', '.join(CATALOGUE)}"
    )
