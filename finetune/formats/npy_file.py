"""NumPy's .npy as the field uses it for weights: a pickled dictionary, layer -> [kernel, bias].

Examples are bvlc_alexnet.npy, which Python 2 wrote (http://www.cs.toronto.edu/~guerzhoy/tf_alexnet), and the files of
caffe-tensorflow, layer -> {"weights", "biases"}. Kernels are (height, width, inputs, filters) in all of them.

Python's unpickler is not used, not even with an allow-list: `safe_pickle` leaves the numbers where they are in the
mapped file. Reading a file of 244 MB costs nothing until a tensor is used, and no number is in memory twice.
"""

import io
import struct
import tokenize
import warnings
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from finetune.errors import WeightsError
from finetune.formats.entries import entries
from finetune.formats.pickled_arrays import ADMITTED, PickledArray, array_of
from finetune.formats.safe_pickle import load_pickle
from finetune.formats.tensor_names import is_weight
from finetune.formats.untrusted_text import reason
from finetune.formats.weights_file import Array, WeightsFile, new_weights_file
from finetune.system.mapped import map_file, pieces

_MAX_HEADER = 1 << 17  # bytes; a header of format 1.0 ends before 64 KB


def read_npy(path: Path) -> WeightsFile:
    """Return the tensors in a .npy under its names, as views of the mapped file; nothing in the file is ever run.

    Raises WeightsError for a damaged file, for one without names, and for a pickle that asks for anything but NumPy
    arrays, which the error names.
    """
    data = map_file(path)
    file = io.BytesIO(data[:_MAX_HEADER])
    try:
        shape, _, dtype = read_header(file)
    except ValueError as error:
        raise WeightsError(
            f"{path.name}: its .npy header cannot be read ({error}); get a new copy of the file"
        ) from None
    content = memoryview(data)[file.tell() :]
    if dtype.kind != "O" and not dtype.names:
        raise WeightsError(
            f"{path.name}: contains one array {shape} of {dtype}; expected a dictionary of layers, as "
            "np.save(path, {'conv1': [kernel, bias], …}) writes it"
        )
    root = objects_in(path.name, content) if dtype.hasobject else structure(path.name, content, shape, dtype)
    return weights_file(path, "npy", root)


def objects_in(file: str, content: memoryview) -> Any:
    """Return what the pickle behind the header of an array with objects holds."""
    return load_pickle(file, content, ADMITTED)[0]


def structure(file: str, content: memoryview, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array of one structure, whose fields are layers or tensors, as a view."""
    if prod(shape) != 1 or dtype.itemsize != len(content):
        raise WeightsError(
            f"{file}: expected one structure whose fields are tensors, but its {len(content):,} bytes are "
            f"{prod(shape):,} of {dtype.itemsize:,}; save a dictionary of layers instead"
        )
    return np.frombuffer(content, dtype).reshape(())


def weights_file(path: Path, format: str, root: Any) -> WeightsFile:
    """Return the weights in a container of arrays, from whatever dictionaries, lists and structures it consists of."""
    tensors, others = {}, []
    for name, value in entries(path.name, root, _opened):
        if not is_weight(name) or not isinstance(value, PickledArray | np.ndarray):
            others.append(name)
        else:
            tensors[name] = array_of(path.name, name, value)
    return WeightsFile(path, format, tensors, others=tuple(others))


def _opened(value: Any) -> Any:
    """Return what an array holds that is a container, as a dictionary or list; anything else as it is."""
    if isinstance(value, PickledArray):
        return value.objects()
    if isinstance(value, np.ndarray) and value.dtype.names:
        return {name: value[name] for name in value.dtype.names}
    return value


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
