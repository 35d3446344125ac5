"""The path that a mistyped one probably means."""

import os
from itertools import islice
from pathlib import Path

from finetune.system.text import nearest

_MOST = 10_000  # entries of a folder that are compared, so that a hint never takes long


def did_you_mean_path(path: Path) -> str:
    """Return ` (did you mean images/dogs?)` for a path that does not exist, or an empty string if nothing is near.

    Compared are the names in the folder where the path stops to exist, whose rest is kept.
    """
    missing, rest = path, Path()
    try:
        if path.exists() or path.is_symlink():
            return ""
        while not missing.parent.is_dir() and missing.parent != missing:
            missing, rest = missing.parent, missing.name / rest
        with os.scandir(missing.parent) as entries:
            near = nearest(missing.name, [entry.name for entry in islice(entries, _MOST)])
        found = missing.parent / near / rest if near else None
        return f" (did you mean {found}?)" if found and found.exists() else ""
    except (OSError, ValueError):  # no permission, a name that is too long; a NUL in it
        return ""
