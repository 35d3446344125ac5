"""SHA-256 of bytes, of files, of arrays; and the digests that others publish."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def sha256(data: bytes | bytearray | memoryview) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, read piece by piece; OSError when it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_file(path: Path, kind: str) -> str:
    """Return a file's digest in hexadecimal, of a publisher's kind: `sha1`, `sha256` or `sha256-prefix`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind.removesuffix("-prefix")).hexdigest()


def sha256_of_array(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's values in C order, whatever its shape."""
    return sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
