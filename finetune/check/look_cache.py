"""What looks at images showed, in the user's cache, by digest, so that a second training decodes nothing for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import platformdirs
from numpy.typing import NDArray

from finetune.check.perceptual_hash import HASH_BITS
from finetune.system.atomic import replacing

Codes = NDArray[np.uint8]  # (3, HASH_BITS / 8), as `hash_codes` returns them

MOST_ROWS = 200_000  # 45 MB; beyond, the oldest go first
_ROW = np.dtype(
    [("digest", "S64"), ("comparable", "?"), ("codes", "u1", (3, HASH_BITS // 8)), ("dim", "?"), ("damage", "S64")]
)
_NAME = "looks-1.npy"  # the number changes with what makes images comparable or doubtful, and with the hash


class KeptLook(NamedTuple):
    """What is kept of an `ImageLook` without an error; `codes` is None for an image that is not comparable."""

    codes: Codes | None
    damage: str = ""
    dim: bool = False


def read_looks() -> dict[str, KeptLook]:
    """Return digest -> what is kept of the look; empty without a cache or with a damaged one."""
    try:
        rows = np.load(_file(), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return {}
    if rows.dtype != _ROW or rows.ndim != 1:
        return {}
    return {
        str(row["digest"], "ascii", "replace"): KeptLook(
            row["codes"] if row["comparable"] else None, str(row["damage"], "ascii", "replace"), bool(row["dim"])
        )
        for row in rows
    }


def keep_looks(found: Mapping[str, KeptLook]) -> None:
    """Write these looks, in the order of their age, the oldest first; nothing happens where that is not possible."""
    newest = list(found.items())[-MOST_ROWS:]
    rows = np.zeros(len(newest), _ROW)
    for row, (digest, look) in zip(rows, newest, strict=True):
        row["digest"], row["comparable"], row["dim"] = digest, look.codes is not None, look.dim
        row["damage"] = look.damage.encode("ascii", "replace")
        if look.codes is not None:
            row["codes"] = look.codes
    try:
        _file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(_file()) as temporary, temporary.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
    except OSError:
        return  # the features' cache, in the same folder, warns of it


def _file() -> Path:
    return Path(platformdirs.user_cache_dir("finetune"), _NAME)
