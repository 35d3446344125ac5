"""Where the published weights are on this machine."""

import os
from pathlib import Path

import platformdirs

from finetune.pretrained.catalogue import CATALOGUE


def folders() -> list[Path]:
    """Return the folders searched for published weights, in order, the user's cache last; some may not exist."""
    package = Path(__file__).parents[1]
    own = package / "weights" if (package / "weights").is_dir() else package.parent / "weights"  # wheel or checkout
    chosen = os.environ.get("FINETUNE_WEIGHTS")
    cache = Path(platformdirs.user_cache_dir("finetune"), "weights")
    return [*([Path(chosen)] if chosen else []), Path("weights"), own, cache]


def find(name: str) -> Path | None:
    """Return the file of the published weights `name`, None if no folder has it; KeyError for an unknown name."""
    candidates = (folder / file for folder in folders() for file in CATALOGUE[name].files)
    return next((path for path in candidates if path.is_file()), None)


def how_to_get(name: str) -> str:
    """Return an instruction for errors: how to bring the weights `name` to this machine by hand."""
    return f"download {CATALOGUE[name].source} into {folders()[0].absolute()}"
