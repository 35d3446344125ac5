"""NumPy's .npz: a zip archive of one .npy per tensor, named `conv1/kernel`, or `conv1_1_W` as in vgg16_weights.npz.

A member may also be a dictionary of layers, and is read as in a .npy.

The VGG16 file is Davi Frossard's (https://www.cs.toronto.edu/~frossard/post/vgg16); its kernels are (height, width,
inputs, filters), as in this package.
"""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from finetune.errors import WeightsError
from finetune.formats.npy_file import numpy_floats, objects_in, read_header, structure, weights_file
from finetune.formats.tensor_names import is_weight
from finetune.formats.untrusted_text import reason, shown
from finetune.formats.weights_file import Array, WeightsFile, new_weights_file
from finetune.system.text import shape_text

# Floats deflate to 0.9 of their size, to 0.5 when half of them are zeros; small files may contain only zeros.
_MAX_RATIO, _MAX_SMALL = 8, 16 << 20

_PIECE = 1 << 20  # bytes read at once; zipfile keeps two or three copies of them

# The errors of zipfile, zlib and NumPy for damaged archives.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, struct.error)


def read_npz(path: Path) -> WeightsFile:
    """Return the tensors of an .npz under its names, read into memory and checked against the zip's checksums.

    Raises WeightsError for a damaged archive, and for members that claim more than the file can hold; nothing in the
    file is ever run. Members whose names are not those of weights are not read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_sizes(path, members)
            found = {member.filename.removesuffix(".npy"): _content(path, archive, member) for member in members}
    except _DAMAGED as error:
        raise WeightsError(
            f"{path.name}: the archive is truncated or damaged ({reason(error)}); get a new copy"
        ) from None
    if len(found) < len(members) or not found:
        raise WeightsError(
            f"{path.name}: the archive has {len(members)} members with {len(found)} different names; get a new copy"
        )
    return weights_file(path, "npz", found)


def write_npz(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write the tensors under their names, uncompressed, so that equal tensors give equal files.

    bfloat16, which NumPy does not have, becomes float32. Raises WeightsError for a tensor that is not floating-point,
    and when the disk or the folder refuses.
    """
    with new_weights_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, tensor in tensors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, numpy_floats(path, name, tensor), allow_pickle=False)


def _check_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive whose members claim more bytes than its size justifies, before any of them is read."""
    total, size = sum(member.file_size for member in members), path.stat().st_size
    if total > max(_MAX_RATIO * size, _MAX_SMALL):
        raise WeightsError(
            f"{path.name}: refused: its {size:,} bytes claim to unpack to {total:,}, and weights do not compress by a "
            f"factor of {_MAX_RATIO}; choose another file"
        )
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
            raise WeightsError(
                f"{path.name}: refused: {shown(member.filename)} is encrypted, or compressed in a way that np.savez "
                "never uses; save the weights again with np.savez"
            )


def _content(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    """Return the array in a member, or what its pickle holds; None for what is neither a weight nor a pickle."""
    if not member.filename.endswith(".npy"):
        return None
    with archive.open(member) as file:
        shape, fortran_order, dtype = read_header(file)
        size = member.file_size - file.tell()
        if dtype.hasobject:
            return objects_in(path.name, _bytes(member, file, size).data)
        if dtype.names:
            return structure(path.name, _bytes(member, file, size).data, shape, dtype)
        if not is_weight(member.filename.removesuffix(".npy")):
            return None
        if dtype.kind != "f" or dtype.itemsize > 8:
            raise WeightsError(
                f"{path.name}: {shown(member.filename)} is {dtype}; expected float16, float32 or float64"
            )
        if min(shape, default=1) < 1 or size != prod(shape) * dtype.itemsize:
            raise WeightsError(
                f"{path.name}: {shown(member.filename)} claims {shape_text(shape[:32])} numbers of {dtype}, but has "
                f"{size:,} bytes: the file is damaged; get a new copy"
            )
        return _bytes(member, file, size).view(dtype).reshape(shape, order="F" if fortran_order else "C")


def _bytes(member: zipfile.ZipInfo, file: IO[bytes], size: int) -> NDArray[np.uint8]:
    """Return the next `size` bytes, read piece by piece."""
    data = np.empty(size, np.uint8)
    for start in range(0, size, _PIECE):
        piece = file.read(_PIECE)
        if len(piece) < min(_PIECE, size - start):
            raise EOFError(f"{shown(member.filename)} ends early")
        data[start : start + _PIECE] = np.frombuffer(piece, np.uint8)
    return data
