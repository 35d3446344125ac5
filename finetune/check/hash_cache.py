"""Perceptual hashes in the user's cache, by digest of the image, so that a second training decodes nothing for them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from finetune.check.perceptual_hash import HASH_BITS
from finetune.system.atomic import replacing

Codes = NDArray[np.uint8]  # (3, HASH_BITS / 8), as `hash_codes` returns them

MOST_ROWS = 200_000  # 32 MB; beyond, the oldest go first
_ROW = np.dtype([("digest", "S64"), ("comparable", "?"), ("codes", "u1", (3, HASH_BITS // 8))])
_NAME = "hashes-1.npy"  # the number changes with what makes images comparable, and with the hash


def read_hashes() -> dict[str, Codes | None]:
    """Return digest -> codes, None for an image that is not comparable; empty without a cache or with a damaged one."""
    try:
        rows = np.load(_file(), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return {}
    if rows.dtype != _ROW or rows.ndim != 1:
        return {}
    return {str(row["digest"], "ascii", "replace"): row["codes"] if row["comparable"] else None for row in rows}


def keep_hashes(found: Mapping[str, Codes | None]) -> None:
    """Write these hashes, in the order of their age, the oldest first; nothing happens where that is not possible."""
    newest = list(found.items())[-MOST_ROWS:]
    rows = np.zeros(len(newest), _ROW)
    for row, (digest, codes) in zip(rows, newest, strict=True):
        row["digest"], row["comparable"] = digest, codes is not None
        if codes is not None:
            row["codes"] = codes
    try:
        _file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(_file()) as temporary, temporary.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
    except OSError:
        return  # the features' cache, in the same folder, warns of it


def _file() -> Path:
    return Path(platformdirs.user_cache_dir("finetune"), _NAME)
