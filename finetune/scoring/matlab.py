"""Features as a MATLAB 7.3 file: HDF5 after a header, with the class of each variable."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from finetune.networks.layers import Shape
from finetune.scoring.hdf5 import Hdf5Dataset, Hdf5Format

# As MATLAB writes it: 116 bytes of text, 8 unused ones, the version and the order of bytes, in a block of 512.
HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\x00\x02IM"
USER_BLOCK = 512
LONGEST_NAME = 63  # of a variable


class MatlabFormat(Hdf5Format):
    """A variable for each layer, `path`, `error`, and the struct `columns`; the last dimension is the image.

    MATLAB reverses the dimensions of HDF5, so the file has those of one image reversed: MATLAB shows a layer as
    (height, width, channels, images) or (units, images), and texts as a char array with a column each, for
    `cellstr(path')`. Characters of names that MATLAB does not allow become _.
    """

    header = HEADER.ljust(USER_BLOCK, b"\0")
    columns_attributes: ClassVar[Mapping[str, Any]] = {"MATLAB_class": np.bytes_("struct")}

    def layer_dataset(self, layer: str, shape: Shape) -> Hdf5Dataset:
        """Return the variable of a layer."""
        axes = "height,width,channel,image" if len(shape) == 3 else "channel,image"
        attributes = {"layer": layer, "axes": axes, "MATLAB_class": np.bytes_("single")}
        return Hdf5Dataset(_identifier(layer), np.dtype("<f4"), shape[::-1], attributes)

    def text_dataset(self, name: str, longest: int) -> Hdf5Dataset:
        """Return a char array; UTF-16 never takes more units than UTF-8 takes bytes."""
        attributes = {"MATLAB_class": np.bytes_("char"), "MATLAB_int_decode": np.int32(2)}
        return Hdf5Dataset(name, np.dtype("<u2"), (max(1, longest),), attributes)

    def column_name(self, column: str) -> str:
        """Return the name of a field of the struct."""
        return _identifier(column)

    def values(self, output: NDArray[Any]) -> NDArray[Any]:
        """Return a layer's output for one image with its axes reversed."""
        return output.T

    def texts(self, dataset: Hdf5Dataset, texts: Iterable[str | None]) -> NDArray[Any]:
        """Return texts in UTF-16, filled up with spaces; bytes that are not UTF-8 become replacement characters."""
        width = dataset.shape[0]
        rows = []
        for text in texts:
            readable = (text or "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            rows.append(np.frombuffer(readable.encode("utf-16-le"), "<u2")[:width])
        filled = np.full((len(rows), width), ord(" "), "<u2")
        for position, row in enumerate(rows):
            filled[position, : len(row)] = row
        return filled


def _identifier(name: str) -> str:
    """Return the name of a variable: a letter, then letters, digits and _."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    return (name if name[:1].isalpha() else f"x{name}")[:LONGEST_NAME]
