"""Whether a file can be written, asked before the work that fills it."""

from collections.abc import Collection
from pathlib import Path

from finetune.errors import RunError, UsageError
from finetune.system.text import either


def check_output_file(
    path: Path, endings: Collection[str] = (), *, overwrite: bool | None, option: str = "--out"
) -> None:
    """Raise UsageError unless `path` ends in one of the `endings`, RunError if its folder is missing or it exists.

    `endings`: in lower case; none for any name. `overwrite`: None for a command that never replaces a file. `option` is
    the option that named the file.
    """
    if endings and path.suffix.lower() not in endings:
        raise UsageError(f"{option} {path}: expected a name that ends in {either(list(endings))}")
    if not path.parent.is_dir():
        raise RunError(f"{option} {path}: the folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise RunError(f"{option} {path} is a folder; expected the name of a file")
    if path.exists() and not overwrite:
        instead = "" if overwrite is None else ", or --overwrite to replace it"
        raise RunError(f"{option} {path} exists; choose another name{instead}")
