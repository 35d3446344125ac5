"""NumPy's arrays in a pickle, as views of its bytes: what `safe_pickle` admits in .npy and .npz files."""

import codecs
from math import prod
from typing import Any

import numpy as np

from finetune.errors import WeightsError
from finetune.formats.safe_pickle import ordered_dict
from finetune.formats.untrusted_text import shown
from finetune.formats.weights_file import Array
from finetune.system.mapped import PIECE, release
from finetune.system.text import shape_text

_FLOATS = ("f2", "f4", "f8")


class _PickledDType:
    """Stands in for numpy.dtype in a pickle."""

    names: tuple[str, ...]

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.byte_order, self.names = _text(code), "<", ()

    def __setstate__(self, state: Any) -> None:
        _, byte_order, _, names, *_ = state
        self.byte_order = _text(byte_order)
        self.names = tuple(map(_text, names or ()))  # of a structure's fields


class PickledArray:
    """Stands in for numpy's _reconstruct, which creates an array, and for that array, which then gets its state."""

    shape: tuple[int, ...] = ()
    dtype: _PickledDType
    data: Any = None  # until the state is known

    def __init__(self, kind: Any, shape: Any, _: Any) -> None:
        if kind is not _ndarray or shape != (0,):
            raise TypeError("not an empty array")

    def __setstate__(self, state: Any) -> None:
        _, shape, self.dtype, self.fortran_order, self.data = state
        if not isinstance(self.dtype, _PickledDType) or not all(
            type(length) is int and length < 2**63 for length in shape
        ):
            raise TypeError("not an array")
        self.shape = tuple(shape)

    def objects(self) -> Any:
        """Return what an array of objects or of structures with objects holds; the array itself if it has neither."""
        if not isinstance(self.data, list) or not self.data or len(self.data) != prod(self.shape):
            return self
        first, shape = self.data[0], self.shape
        if (
            self.dtype.names
            and len(self.data) == 1
            and isinstance(first, tuple)
            and len(first) == len(self.dtype.names)
        ):
            return dict(zip(self.dtype.names, first, strict=True))
        if len(shape) == 2:  # rows of names and values
            return [self.data[start : start + shape[1]] for start in range(0, len(self.data), shape[1])]
        return self.data if shape else first


def _ndarray(*_: Any) -> None:
    """Stand in for numpy.ndarray, which a pickle of np.save names but never calls."""
    raise TypeError("numpy.ndarray is called")


def _scalar(dtype: Any, data: Any) -> PickledArray:
    """Stand in for numpy's scalar: an array without dimensions."""
    array = PickledArray(_ndarray, (0,), None)
    array.__setstate__((1, (), dtype, False, data))
    return array


def _encode(text: str | memoryview, encoding: str) -> bytes | memoryview:
    """Stand in for _codecs.encode, by which Python 3 puts bytes into protocol 2; Latin-1 is the only codec."""
    if encoding != "latin1":
        raise TypeError("not bytes")
    if isinstance(text, str):
        return text.encode("latin-1")
    # Piece by piece, giving back the file's pages, so that the array is in memory only once.
    decoder, data = codecs.getincrementaldecoder("utf-8")(), bytearray()
    for start in range(0, len(text), PIECE):
        data += decoder.decode(text[start : start + PIECE]).encode("latin-1")
        release(text)
    decoder.decode(b"", final=True)
    return memoryview(data)


ADMITTED = {
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): _PickledDType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): ordered_dict,
} | {
    (module, name): stand_in
    for module in ("numpy.core.multiarray", "numpy._core.multiarray")  # before NumPy 2, and since
    for name, stand_in in (("_reconstruct", PickledArray), ("scalar", _scalar))
}


def array_of(file: str, name: str, array: PickledArray | Array) -> Array:
    """Return an array, of a pickled one a view of its bytes; raise WeightsError if it is not one of floats."""
    if isinstance(array, np.ndarray):
        form = array.dtype.str
    else:
        form = "" if array.data is None else array.dtype.byte_order + array.dtype.code
    if form[:1] not in ("<", ">", "=") or form[1:] not in _FLOATS:
        raise WeightsError(f"{file}: {shown(name)} is not an array of float16, float32 or float64; choose another file")
    if isinstance(array, np.ndarray):
        return array
    dtype = np.dtype(form)
    size = len(array.data) if isinstance(array.data, bytes | memoryview) else 0
    if min(array.shape, default=1) < 1 or len(array.shape) > 32 or prod(array.shape) * dtype.itemsize != size:
        raise WeightsError(
            f"{file}: {shown(name)} claims {shape_text(array.shape[:32])} numbers of {dtype}, but has {size:,} bytes: "
            "the file is damaged; get a new copy"
        )
    return np.frombuffer(array.data, dtype).reshape(array.shape, order="F" if array.fortran_order else "C")


def _text(key: Any) -> str:
    """Return a name as text; Python 2 wrote it as bytes."""
    if not isinstance(key, str | bytes):
        raise TypeError("not a name")
    return key if isinstance(key, str) else key.decode("latin-1")
