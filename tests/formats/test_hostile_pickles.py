"""Pickles in .npy files that call something, lie or are cut, each with its error message; none of them runs code."""

import builtins
import io
import os
import pickle
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.weights_bytes import (
    FLOATS,
    Content,
    first,
    npy,
    python2_array,
    python2_npy,
    python2_string,
    refusal,
    written,
)

from finetune.formats.npy_file import write_npy

DATA = python2_string(FLOATS.tobytes())


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def calls(function: Any, argument: Callable[[str], Any], protocol: int = 2) -> Callable[[Path], bytes]:
    """Return a .npy whose pickle calls `function`, which would create the canary."""

    def build(canary: Path) -> bytes:
        layers = {"conv1": [FLOATS, FLOATS[0]], "fc8": Call(function, argument(str(canary)))}
        return npy(pickle.dumps(np.array(layers, dtype=object), protocol))

    return build


def python(canary: str) -> str:
    return f"open({canary!r}, 'w')"


def opcodes(before: bytes, canary: str, after: bytes) -> bytes:
    """Return a .npy of opcodes around the Python 2 string of a shell command that would create the canary."""
    return npy(b"\x80\x02" + before + python2_string(f"touch {canary}".encode()) + after)


def one_layer(array: bytes) -> bytes:
    return python2_npy(b"}(U\x03fc8](" + array + b"eu")


NO_WEIGHTS = "no entry is the weight of a layer: it has"
DAMAGED_PICKLE = r"its pickle is truncated or damaged at byte [\d,]+; get a new copy of the file"
RUN = "which weights do not need and which could run code; nothing was run; get the file from a source you trust"
ANOTHER_KIND = r"expected a weights file \(.+\), but"

FILES: dict[str, tuple[Content, str]] = {
    "bare pickle": (
        lambda canary: pickle.dumps(Call(os.system, f"touch {canary}"), 4),
        rf"{ANOTHER_KIND} it is a bare Python pickle, which can run code and is never read; save its arrays with "
        r"np\.savez",
    ),
    # .npy: pickles that call something
    "os.system": (
        calls(os.system, lambda c: f"touch {c}"),
        rf"refused: its pickle asks for posix.system, {RUN}",
    ),
    "os.system, protocol 4": (calls(os.system, lambda c: f"touch {c}", 4), f"refused: .+ posix.system, {RUN}"),
    "eval": (calls(builtins.eval, python), rf"refused: its pickle asks for __builtin__.eval, {RUN}"),
    "exec, protocol 4": (calls(builtins.exec, python, 4), rf"refused: its pickle asks for builtins.exec, {RUN}"),
    "subprocess": (
        calls(subprocess.check_output, lambda c: ["touch", c]),
        rf"refused: its pickle asks for commands.check_output, {RUN}",
    ),
    "a whole model": (
        npy(b"\x80\x02ctorch.nn.modules.container\nSequential\n)R."),
        r"refused: it is a whole model, not its weights: its pickle asks for torch.nn.modules.container.Sequential, "
        r"which could run code; nothing was run; save model.state_dict\(\) instead, where the model can be loaded",
    ),
    "open": (calls(io.open, lambda c: c, 4), rf"refused: its pickle asks for io.open, {RUN}"),
    "NumPy's own eval": (
        lambda c: opcodes(b"cnumpy.f2py.crackfortran\nmyeval\n(", str(c), b"tR."),
        rf"refused: its pickle asks for numpy.f2py.crackfortran.myeval, {RUN}",
    ),
    "NumPy's runstring": (
        lambda c: opcodes(b"cnumpy.testing._private.utils\nrunstring\n(", str(c), b"}tR."),
        rf"refused: its pickle asks for numpy.testing._private.utils.runstring, {RUN}",
    ),
    "array from any file": (
        lambda c: opcodes(b"cnumpy.core.multiarray\nfromfile\n(", str(c), b"tR."),
        rf"refused: its pickle asks for numpy.core.multiarray.fromfile, {RUN}",
    ),
    "dotted name": (
        npy(b"\x80\x04\x8c\x05numpy\x8c\x0fcore.os.system1\x93."),
        rf"refused: its pickle asks for numpy.core.os.system1, {RUN}",
    ),
    "name with control characters": (
        npy(b"\x80\x04\x8c\x03os\x1b\x8c\x08\x1b[2J\nrm!\x93."),
        r"refused: its pickle asks for os\\x1b.\\x1b\[2J\\nrm!, which .+",
    ),
    "INST": (lambda c: opcodes(b"(", str(c), b"iposix\nsystem\n."), r"refused: its pickle uses INST at byte .+"),
    "OBJ": (npy(b"\x80\x02(cposix\nsystem\nU\x02lso."), rf"refused: its pickle asks for posix.system, {RUN}"),
    "OBJ of an admitted name": (npy(b"\x80\x02(cnumpy\nndarray\nK\x05o."), r"refused: its pickle uses OBJ at .+"),
    "extension registry": (npy(b"\x80\x02\x82\x01."), "refused: its pickle uses EXT1 at byte 2, .+"),
    "persistent identifier": (npy(b"\x80\x02U\x01aQ."), "refused: its pickle points to data outside itself, .+"),
    "an array called with its shape": (
        npy(b"\x80\x02cnumpy\nndarray\n(K\x05K\x05tR."), DAMAGED_PICKLE,
    ),
    "reconstruct with a shape": (
        npy(b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J\xff\xff\xff\x7ftU\x01btR."),
        DAMAGED_PICKLE,
    ),
    "reconstruct of another class": (
        npy(b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(K\x00tU\x01btR."), DAMAGED_PICKLE,
    ),
    "another codec": (
        npy(b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x0a\x00\x00\x00zlib_codectR."), DAMAGED_PICKLE,
    ),
    "state for a function": (npy(b"\x80\x02c_codecs\nencode\n}b."), DAMAGED_PICKLE),
    "state for a class": (npy(b"\x80\x02cnumpy\ndtype\n}b."), DAMAGED_PICKLE),
    # .npy: pickles that lie
    "pickle cut in an array": (written(write_npy, first(0.5)), DAMAGED_PICKLE),
    "pickle cut before its end": (written(write_npy, lambda data: data[:-1]), DAMAGED_PICKLE),
    "cut after the header": (npy(b""), "its pickle is truncated or damaged at byte 0; get a new copy of the file"),
    "cut in the header": (npy(b"")[:40], r"its .npy header cannot be read \(EOF: .+\); get a new copy of the file"),
    "unknown version": (b"\x93NUMPY\x09\x00" + bytes(99), r"its .npy header cannot be read \(.+\); .+"),
    "header that nests": (
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000, r"its .npy header cannot be read \(.+\); .+",
    ),
    "header of 4 GB": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", r"its .npy header cannot be read \(EOF.+\); .+"),
    "one plain array": (
        npy(FLOATS.tobytes(), "<f4", (4, 4)),
        r"contains one array \(4, 4\) of float32; expected a dictionary of layers, as np.save\(path, .+\) writes it",
    ),
    "array of a terabyte": (npy(b"", "<f4", (10**12,)), r"contains one array \(1000000000000,\) of float32; .+"),
    "array larger than its bytes": (
        one_layer(python2_array((40_000, 40_000), DATA)),
        "fc8/kernel claims 40000×40000 numbers of float32, but has 64 bytes: the file is damaged; get a new copy",
    ),
    "negative length": (one_layer(python2_array((-4, -4), DATA)), "fc8/kernel claims -4×-4 numbers of float32, .+"),
    "no length": (one_layer(python2_array((0, 4), b"U\x00")), "fc8/kernel claims 0×4 numbers of float32, .+"),
    "forty dimensions": (one_layer(python2_array((1,) * 40, DATA)), "fc8/kernel claims 1×1×.+ numbers of .+"),
    "array of objects in a layer": (
        one_layer(python2_array((1,), b"]K\x01a", b"O8", b"|")),
        f"{NO_WEIGHTS} fc8; .+",
    ),
    "integers": (one_layer(python2_array((4, 4), DATA, b"i4")), "fc8/kernel is not an array of float16, .+"),
    "dtype of a gigabyte": (one_layer(python2_array((1,), DATA, b"V999999999")), "fc8/kernel is not an array of .+"),
    "array without its state": (
        one_layer(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"),
        "fc8/kernel is not an array of float16, float32 or float64; choose another file",
    ),
    "string of 2 GB": (npy(b"\x80\x02T\xff\xff\xff\x7fabc."), DAMAGED_PICKLE),
    "string of 8 EB": (npy(b"\x80\x04\x8e" + b"\xff" * 8 + b"abc."), DAMAGED_PICKLE),
    "memo index of 4 billion": (npy(b"\x80\x02}r\xff\xff\xff\xff."), f"{NO_WEIGHTS} nothing; .+"),
    "memo that was never set": (npy(b"\x80\x02j\xff\xff\xff\xff."), DAMAGED_PICKLE),
    "millions of lists": (npy(b"\x80\x02" + b"]" * 2_000_000), "refused: its pickle has more than 100,000 steps, .+"),
    "list that contains itself": (npy(b"\x80\x02]q\x00h\x00a."), f"{NO_WEIGHTS} 0; .+"),
    "array of no object": (
        npy(b"\x80\x02" + python2_array((), b"]", b"O8", b"|") + b"."),
        f"{NO_WEIGHTS} nothing; .+",
    ),
    "nesting": (npy(b"\x80\x02" + b"]" * 40_000 + b"a" * 39_999 + b"."), f"{NO_WEIGHTS} 0; .+"),
    "layer of numbers": (python2_npy(b"}(U\x03fc8K\x05u"), f"{NO_WEIGHTS} fc8; .+"),
    "three tensors": (
        one_layer(3 * python2_array((4, 4), DATA)), f"{NO_WEIGHTS} fc8; .+",
    ),
    "layer with control characters": (
        python2_npy(b"}(U\x04\x1b[2J](" + python2_array((4, 4), DATA) + b"eu"),
        r"refused: a tensor is called '\\x1b\[2J/kernel'; expected up to 200 printable characters; choose another file",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_each_is_refused_with_its_message(content: Content, message: str, tmp_path: Path) -> None:
    line = refusal(tmp_path / "bvlc_alexnet.npy", content)
    assert re.fullmatch(message, line), line


def test_the_pickles_would_run_if_they_were_read_as_pickles(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "bvlc_alexnet.npy"
    path.write_bytes(calls(os.system, lambda c: f"touch {c}")(canary))
    np.load(path, allow_pickle=True)
    assert canary.exists()
