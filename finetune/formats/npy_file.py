"""NumPy's .npy as the field uses it for weights: a pickled dictionary, layer -> [kernel, bias].

Examples are bvlc_alexnet.npy, which Python 2 wrote (http://www.cs.toronto.edu/~guerzhoy/tf_alexnet), and the files of
caffe-tensorflow, layer -> {"weights", "biases"}. Kernels are (height, width, inputs, filters) in all of them.

Python's unpickler is not used, not even with an allow-list: `safe_pickle` leaves the numbers where they are in the
mapped file. Reading a file of 244 MB costs nothing until a tensor is used, and no number is in memory twice.
"""

import codecs
import io
import struct
import tokenize
import warnings
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from finetune.errors import WeightsError
from finetune.formats.safe_pickle import load_pickle
from finetune.formats.untrusted_text import reason, shown
from finetune.formats.weights_file import Array, WeightsFile, new_weights_file
from finetune.system.mapped import PIECE, map_file, pieces, release
from finetune.system.text import shape_text

# Tensor names in layer -> {…}: caffe-tensorflow's, common short ones, and this package's own.
_WEIGHT_NAMES = {"weights": "kernel", "W": "kernel", "biases": "bias", "b": "bias"}
_WEIGHT_NAMES |= {name: name for name in ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")}

_FLOATS = ("f2", "f4", "f8")
_MAX_HEADER = 1 << 17  # bytes; a header of format 1.0 ends before 64 KB


class _PickledDType:
    """Stands in for numpy.dtype in a pickle."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.byte_order = _text(code), "<"

    def __setstate__(self, state: Any) -> None:
        _, byte_order, *fields = state
        self.byte_order = _text(byte_order)
        if any(field is not None for field in fields[:3]):  # subarray, names and fields of a structure
            raise TypeError("not a plain type")


class _PickledArray:
    """Stands in for numpy's _reconstruct, which creates an array, and for that array, which then gets its state."""

    shape: tuple[int, ...]
    dtype: _PickledDType

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


def _ndarray(*_: Any) -> None:
    """Stand in for numpy.ndarray, which a pickle of np.save names but never calls."""
    raise TypeError("numpy.ndarray is called")


def _scalar(dtype: Any, data: Any) -> _PickledArray:
    """Stand in for numpy's scalar: an array without dimensions."""
    array = _PickledArray(_ndarray, (0,), None)
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


_ADMITTED = {
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): _PickledDType,
    ("_codecs", "encode"): _encode,
} | {
    (module, name): stand_in
    for module in ("numpy.core.multiarray", "numpy._core.multiarray")  # before NumPy 2, and since
    for name, stand_in in (("_reconstruct", _PickledArray), ("scalar", _scalar))
}


def read_npy(path: Path) -> WeightsFile:
    """Return the tensors of a dictionary in a .npy as views of the mapped file; nothing in the file is ever run.

    Raises WeightsError for a damaged file, for one without such a dictionary, and for a pickle that asks for anything
    but NumPy arrays, which the error names.
    """
    data = map_file(path)
    file = io.BytesIO(data[:_MAX_HEADER])
    try:
        shape, _, dtype = read_header(file)
    except ValueError as error:
        raise WeightsError(
            f"{path.name}: its .npy header cannot be read ({error}); get a new copy of the file"
        ) from None
    if dtype.kind != "O" or shape:
        raise WeightsError(
            f"{path.name}: contains one array {shape} of {dtype}; expected a dictionary of layers, as "
            "np.save(path, {'conv1': [kernel, bias], …}) writes it"
        )
    root, _ = load_pickle(path.name, memoryview(data)[file.tell() :], _ADMITTED)
    objects = getattr(root, "data", None)  # np.save wraps the dictionary in an array of one object
    layers = objects[0] if isinstance(objects, list) and len(objects) == 1 else root
    return WeightsFile(path, "npy", dict(_tensors(path.name, layers)))


def write_npy(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write layer -> [kernel, bias] as np.save does, but readable by NumPy 1.7 and later, and tensor by tensor.

    Layers with other weights become layer -> {name: tensor}. bfloat16, which NumPy does not have, becomes float32.
    Raises WeightsError for a tensor that is not floating-point, and when the disk or the folder refuses.
    """
    layers: dict[str, dict[str, Array]] = {}
    for name, tensor in tensors.items():
        layer, _, weight = name.rpartition("/")
        layers.setdefault(layer, {})[weight] = numpy_floats(path, name, tensor)
    with new_weights_file(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(b"\x80\x03")  # protocol 3, the first that has bytes; the opcodes are explained in pickletools
        file.write(_array_head((), "O8", "|", 63) + b"](}")  # a list of one dictionary
        for layer, weights in layers.items():
            file.write(_unicode(layer))
            in_list = list(weights) == ["kernel", "bias"]
            file.write(b"](" if in_list else b"}(")
            for weight, tensor in weights.items():
                file.write(b"" if in_list else _unicode(weight))
                file.write(_array_head(tensor.shape, f"f{tensor.itemsize}", "<"))
                file.write(struct.pack("<cI", b"B", tensor.nbytes))
                for piece in pieces(tensor):
                    file.write(piece)
                file.write(b"tb")
            file.write(b"es" if in_list else b"us")
        file.write(b"etb.")


def numpy_floats(path: Path, name: str, tensor: Array) -> Array:
    """Return `tensor` in a floating-point type that NumPy has; raise WeightsError if it is not floating-point."""
    if tensor.dtype.name == "bfloat16":
        return tensor.astype(np.float32)  # exact
    if tensor.dtype.kind != "f" or tensor.itemsize > 8:
        raise WeightsError(f"{path.name}: {name} is {tensor.dtype.name}; expected float16, float32 or float64")
    return tensor


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype from the .npy header that starts here; raise ValueError if none does."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 2's integers, (96L,), are read with a warning
            return readers[version](file)
    except (ValueError, KeyError, SyntaxError, TypeError, tokenize.TokenError, MemoryError, RecursionError) as error:
        raise ValueError(reason(error)) from None


def _tensors(file: str, layers: Any) -> Iterator[tuple[str, Array]]:
    """Yield `layer/weight` and array of a dictionary whose values are lists or dictionaries."""
    if not _is_named(layers):
        raise WeightsError(
            f"{file}: expected a dictionary of layers, {{'conv1': [kernel, bias], …}}, but its pickle holds "
            f"{'an empty one' if layers == {} else 'something else'}; choose another file"
        )
    for key, weights in layers.items():
        layer = _text(key)
        if _is_named(weights):
            named = [(_WEIGHT_NAMES.get(_text(name)), value) for name, value in weights.items()]
        else:
            named = list(zip(("kernel", "bias"), weights, strict=False)) if _is_pair(weights) else []
        if not named or not all(name and isinstance(value, _PickledArray) for name, value in named):
            raise WeightsError(
                f"{file}: layer {shown(layer)} is not [kernel, bias] or {{'weights', 'biases'}}; choose another file"
            )
        for name, value in named:
            yield f"{layer}/{name}", _array(file, f"{shown(layer)}/{name}", value)


def _array(file: str, name: str, array: _PickledArray) -> Array:
    """Return the array that the pickle describes, as a view of its bytes."""
    if not hasattr(array, "shape") or array.dtype.code not in _FLOATS or array.dtype.byte_order not in ("<", ">", "="):
        raise WeightsError(f"{file}: {name} is not an array of float16, float32 or float64; choose another file")
    dtype = np.dtype(array.dtype.byte_order + array.dtype.code)
    size = len(array.data) if isinstance(array.data, bytes | memoryview) else 0
    if min(array.shape, default=1) < 1 or len(array.shape) > 32 or prod(array.shape) * dtype.itemsize != size:
        raise WeightsError(
            f"{file}: {name} claims {shape_text(array.shape[:32])} numbers of {dtype}, but has {size:,} bytes: the "
            "file is damaged; get a new copy"
        )
    return np.frombuffer(array.data, dtype).reshape(array.shape, order="F" if array.fortran_order else "C")


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(key, str | bytes) for key in value)


def _is_pair(weights: Any) -> bool:
    return isinstance(weights, list | tuple) and 1 <= len(weights) <= 2


def _text(key: Any) -> str:
    """Return a name as text; Python 2 wrote it as bytes."""
    if not isinstance(key, str | bytes):
        raise TypeError("not a name")
    return key if isinstance(key, str) else key.decode("latin-1")


def _unicode(text: str) -> bytes:
    return struct.pack("<cI", b"X", len(text.encode())) + text.encode()


def _array_head(shape: tuple[int, ...], code: str, byte_order: str, flags: int = 0) -> bytes:
    """Return the opcodes of an array up to its data: _reconstruct(ndarray, (0,), b"b"), then the start of its state.

    `flags` are the dtype's: 63 for objects, as in NumPy.
    """
    dtype = b"cnumpy\ndtype\n" + _unicode(code) + b"\x89\x88\x87R"  # dtype(code, False, True)
    state = b"NNN" + struct.pack(
        "<cicicB", b"J", -1, b"J", -1, b"K", flags
    )  # no fields; size and alignment of the type
    dtype += b"(K\x03" + _unicode(byte_order) + state + b"tb"
    lengths = b"".join(struct.pack("<ci", b"J", length) for length in shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
        + (b"(K\x01(" + lengths + b"t" + dtype)
        + b"\x89"  # not in Fortran order
    )
