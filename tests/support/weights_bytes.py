"""Weights files written byte by byte, so that no test needs a download, Caffe or Python 2."""

import io
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune.errors import WeightsError
from finetune.formats.read_weights import read_weights

Array = NDArray[np.floating]

Content = bytes | Callable[[Path], bytes]  # of a hostile file; a function gets the path of its canary

FLOATS = np.ones((4, 4), np.float32)
TENSORS = {"fc7/kernel": np.ones((300, 40), np.float32), "fc8/kernel": FLOATS, "fc8/bias": FLOATS[0]}

# Reads a file, uses every tensor, and prints by how many bytes the peak of memory grew. From VmHWM and not getrusage,
# whose maximum a new process inherits from the one that started it.
MEASURE = """
import sys
from pathlib import Path
import numpy as np
from finetune.formats import {module}

def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024

before = peak()
file = {module}.{function}(Path(sys.argv[1]))
total = sum(float(tensor.sum(dtype=np.float64)) for tensor in file.tensors.values())
print(peak() - before)
"""


def peak_of_reading(path: Path, module: str, function: str) -> float:
    """Return the peak of memory that reading `path` in a new process takes, as a share of its size."""
    script = MEASURE.format(module=module, function=function)
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True)
    return int(done.stdout) / path.stat().st_size


def large_tensors() -> dict[str, Array]:
    """Return 61 MB of weights; the largest tensor takes 62 % of them, as fc6 does in AlexNet."""
    numbers = np.random.default_rng(0).random((9216, 1024), np.float32)
    return {
        "fc6/kernel": numbers,
        "fc6/bias": numbers[0],
        "fc7/kernel": numbers[:4096],
        "fc7/bias": numbers[1],
        "fc8/kernel": numbers[:1400],
        "fc8/bias": numbers[2],
    }


def refusal(path: Path, content: Content) -> str:
    """Write and read a file that must be refused, and return the message without the file's name."""
    canary = path.with_name("canary")
    path.write_bytes(content if isinstance(content, bytes) else content(canary))
    start = time.perf_counter()
    with pytest.raises(WeightsError) as caught:
        read_weights(path)
    assert time.perf_counter() - start < 20  # a bomb would take hours
    assert not canary.exists()
    line = str(caught.value)
    assert line.isprintable()  # so it is one line
    assert len(line) < 400
    name, _, rest = line.partition(": ")
    assert name == path.name
    return rest


def written(write: Callable[..., None], keep: Callable[[bytes], bytes] = bytes) -> Callable[[Path], bytes]:
    """Return a function that writes a file with `write` and returns its bytes, changed by `keep`."""

    def build(canary: Path) -> bytes:
        path = canary.with_suffix(".whole")
        write(path, TENSORS)
        return keep(path.read_bytes())

    return build


def first(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


# .npy: the header of np.save, then a pickle


def npy(pickled: bytes, descr: str = "|O", shape: tuple[int, ...] = ()) -> bytes:
    """Return a .npy with any content behind its header."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + pickled


def python2_string(text: bytes) -> bytes:
    if len(text) < 256:
        return struct.pack("<cB", b"U", len(text)) + text
    return struct.pack("<ci", b"T", len(text)) + text


def python2_array(shape: tuple[int, ...], data: bytes, dtype: bytes = b"f4", order: bytes = b"<") -> bytes:
    """Return the opcodes that Python 2's cPickle writes for an array; `data` are opcodes too."""
    lengths = b"(" + b"".join(struct.pack("<ci", b"J", length) for length in shape) + b"t"
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01" + lengths
        + b"cnumpy\ndtype\n" + python2_string(dtype) + b"K\x00K\x01\x87R(K\x03" + python2_string(order)
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK" + (b"?" if dtype == b"O8" else b"\0") + b"tb\x89" + data + b"tb"
    )  # fmt: skip


def python2_npy(layers: bytes) -> bytes:
    """Return a .npy of a dictionary given as opcodes, as bvlc_alexnet.npy is one."""
    return npy(b"\x80\x02" + python2_array((), b"](" + layers + b"e", b"O8", b"|") + b".")


def python2_layers(tensors: Mapping[str, Array]) -> bytes:
    """Return the opcodes of a dictionary layer -> [kernel, bias]."""
    opcodes = b"}("
    for layer in dict.fromkeys(name.split("/")[0] for name in tensors):
        arrays = (tensors[f"{layer}/{weight}"] for weight in ("kernel", "bias"))
        opcodes += python2_string(layer.encode()) + b"]("
        opcodes += b"".join(python2_array(a.shape, python2_string(a.astype("<f4").tobytes())) for a in arrays) + b"e"
    return opcodes + b"u"


# .caffemodel: protocol buffers


def varint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def field(number: int, value: int | bytes | str) -> bytes:
    """Return a protocol buffer's field: an integer, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array: Array, *, legacy: bool = False, double: bool = False, packed: bool = True) -> bytes:
    """Return a BlobProto: with its shape, or with num, channels, height and width as Caffe wrote it before 2014."""
    if legacy:
        shape = b"".join(field(i, n) for i, n in enumerate((1, 1, 1, *array.shape)[-4:], 1))
    else:
        shape = field(7, field(1, b"".join(map(varint, array.shape))))
    data = array.astype("<f8" if double else "<f4")
    if packed:
        return field(8 if double else 5, data.tobytes()) + shape
    tag = varint(8 << 3 | 1) if double else varint(5 << 3 | 5)
    return b"".join(tag + number.tobytes() for number in data.ravel()) + shape


def layer(name: str, kind: str, *blobs: bytes) -> bytes:
    """Return NetParameter.layer."""
    return field(100, field(1, name) + field(2, kind) + b"".join(field(7, blob) for blob in blobs))


def v1_layer(name: str, kind: int, *blobs: bytes) -> bytes:
    """Return NetParameter.layers; kind 4 is a convolution, 14 an inner product."""
    return field(2, field(2, "data") + field(4, name) + field(5, kind) + b"".join(field(6, blob) for blob in blobs))
