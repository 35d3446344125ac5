"""Damaged, renamed and hostile files, made here, each with its error message; pickles have a table of their own."""

import io
import json
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.weights_bytes import FLOATS, Content, blob, field, first, layer, npy, refusal, v1_layer, varint, written

from finetune.formats.npz_file import write_npz
from finetune.formats.safetensors_file import write_safetensors

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + bytes(200)
LAYER = field(1, "AlexNet") + layer("fc8", "InnerProduct", blob(FLOATS), blob(FLOATS[0]))


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return file.getvalue()


def member(shape: tuple[int, ...] = (4, 4), data: bytes = FLOATS.tobytes(), descr: str = "<f4") -> bytes:
    return npy(data, descr, shape)


def lying_zip(_: Path) -> bytes:
    """Return an archive whose directory claims a terabyte for its only member."""
    data = bytearray(archive({"fc8/kernel.npy": member()}))
    start = data.rfind(b"PK\1\2")
    struct.pack_into("<I", data, start + 24, 0xFFFFFFFE)
    return bytes(data)


def lying_member(_: Path) -> bytes:
    """Return an archive whose member is deflated zeros, cut to half, with the checksum of the whole."""
    content = member((1000, 1000), bytes(4_000_000))
    data = bytearray(archive({"fc8/kernel.npy": content}, zipfile.ZIP_DEFLATED))
    position = data.find(zlib.compress(content)[2:10])
    data[position + 40 : position + 60] = bytes(20)
    return bytes(data)


def overlapping_zip(_: Path) -> bytes:
    """Return an archive whose directory lists one deflated member of 1 MB a hundred times."""
    data = archive({"fc8/kernel.npy": member((500, 500), bytes(1_000_000))}, zipfile.ZIP_DEFLATED)
    start, end = data.rfind(b"PK\1\2"), data.rfind(b"PK\5\6")
    entries = data[start:end] * 100
    return data[:start] + entries + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 100, 100, len(entries), start, 0)


def huge_directory(_: Path) -> bytes:
    """Return an archive with a directory of 5 MB."""
    return archive(dict.fromkeys((f"{i:0>60000}" for i in range(90)), b""))


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HEADER_WRONG = (
    r"its safetensors header of [\d,]+ bytes does not describe its [\d,]+ bytes \(.+\): the file is truncated or "
    "damaged; get a new copy"
)
ANOTHER_KIND = r"expected a weights file \(.+\), but"

FILES: dict[str, tuple[Content, str]] = {
    # Not weights at all
    "empty": (b"", "expected a weights file, but it is empty; get a new copy"),
    "one byte": (b"P", rf"{ANOTHER_KIND} its first bytes, 50, belong to none of these formats; choose another file"),
    "JPEG called npy": (JPEG, rf"{ANOTHER_KIND} it is a JPEG image"),
    "PNG called caffemodel": (b"\x89PNG\r\n\x1a\n" + bytes(99), rf"{ANOTHER_KIND} it is a PNG image"),
    "web page": (b"<!DOCTYPE html><title>404</title>", rf"{ANOTHER_KIND} it is a web page; download the file itself"),
    "Git LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:6b0d\nsize 243863787\n",
        rf"{ANOTHER_KIND} it is a Git LFS pointer; fetch the file itself with git lfs pull",
    ),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(99), rf"{ANOTHER_KIND} it is a gzip file; unpack it first"),
    "prototxt": (b'name: "AlexNet"\nlayer {\n', rf"{ANOTHER_KIND} it is a text file like Caffe's .prototxt.+"),
    "random bytes": (bytes(range(200, 256)), rf"{ANOTHER_KIND} its first bytes, c8 c9 .+ belong to none of .+"),
    "zip without weights": (archive({"readme.txt": b""}), "a zip archive without weights; expected members .+"),
    # .npz
    "npz cut in half": (written(write_npz, first(0.5)), r"its zip archive \(.+\) is truncated or damaged; .+"),
    "npz cut at its end": (written(write_npz, lambda data: data[:-3]), r"its zip archive \(.+\) is truncated .+"),
    "pickled member": (
        archive({"fc8/kernel.npy": npy(b"\x80\x02cposix\nsystem\n(U\x04exittR.")}),
        "refused: its pickle asks for posix.system, which weights do not need and which could run code; .+",
    ),
    "member with a false shape": (
        archive({"fc8/kernel.npy": member((10**6, 10**6))}),
        "fc8/kernel.npy claims 1000000×1000000 numbers of float32, but has 64 bytes: the file is damaged; .+",
    ),
    "member with a negative shape": (archive({"fc8/kernel.npy": member((-4, -4))}), "fc8/kernel.npy claims -4×-4 .+"),
    "zip bomb": (
        archive({"fc8/kernel.npy": member((5_000_000,), bytes(20_000_000))}, zipfile.ZIP_DEFLATED),
        r"refused: its [\d,]+ bytes claim to unpack to 20,000,128, and weights do not compress by a factor of 8; .+",
    ),
    "one member a hundred times": (overlapping_zip, "refused: .+ claim to unpack to 100,012,800, .+"),
    "directory that claims 4 GB": (lying_zip, "refused: its [0-9,]+ bytes claim to unpack to 4,294,967,294, .+"),
    "directory of 5 MB": (huge_directory, r"refused: a zip directory of 5,404,140 bytes; expected at most .+"),
    "damaged deflate": (lying_member, r"the archive is truncated or damaged \(Error -3 .+\); get a new copy"),
    "compressed with LZMA": (
        archive({"fc8/kernel.npy": member()}, zipfile.ZIP_LZMA), "refused: fc8/kernel.npy is encrypted, or .+",
    ),
    "unknown names": (archive({"arr_0.npy": member()}), "no entry is the weight of a layer: it has arr_0; .+"),
    "integers in npz": (archive({"fc8/kernel.npy": member(descr="<i4")}), "fc8/kernel.npy is int32; expected .+"),
    # .safetensors
    "safetensors cut in half": (written(write_safetensors, first(0.5)), HEADER_WRONG),
    "safetensors cut in its header": (
        written(write_safetensors, lambda data: data[:30]),
        r"its safetensors header claims [\d,]+ bytes; expected at most .+, and no more than the file's 30: .+",
    ),
    "header of an exabyte": (safetensors({}, length=2**60), "its safetensors header claims .+"),
    "header that is not JSON": (safetensors(b'{"a": '), HEADER_WRONG),
    "header of brackets": (safetensors(b'{"a":' + b"[" * 100_000), HEADER_WRONG),
    "overlapping tensors": (
        safetensors({"a": tensor(0, 16, [4]), "b": tensor(8, 24, [4])}, bytes(24)), HEADER_WRONG,
    ),
    "gap between tensors": (
        safetensors({"a": tensor(0, 16, [4]), "b": tensor(20, 36, [4])}, bytes(36)), HEADER_WRONG,
    ),
    "tensor beyond the end": (safetensors({"a": tensor(0, 4000, [1000])}, bytes(16)), HEADER_WRONG),
    "tensor that ends before it starts": (safetensors({"a": tensor(16, 0, [4])}, bytes(16)), HEADER_WRONG),
    "shape that is not its bytes": (safetensors({"a": tensor(0, 16, [2**40])}, bytes(16)), HEADER_WRONG),
    "shape that overflows": (safetensors({"a": tensor(0, 0, [2**40, 2**40])}), HEADER_WRONG),
    "integers in safetensors": (
        safetensors({"a": tensor(0, 32, [4], "I64")}, bytes(32)),
        "a is I64; expected one of BF16, F16, F32, F64; choose another file",
    ),
    "metadata that is not JSON": (
        safetensors({"__metadata__": {"finetune": "{"}, "a": tensor(0, 16, [4])}, bytes(16)),
        "its metadata 'finetune' does not describe a network; write the file again",
    ),
    "metadata that is a list": (
        safetensors({"__metadata__": {"finetune": "[]"}, "a": tensor(0, 16, [4])}, bytes(16)),
        "its metadata 'finetune' does not describe a network; write the file again",
    ),
    # .caffemodel
    "caffemodel cut in half": (LAYER[: len(LAYER) // 2], "a field claims 1.. bytes, but .. follow: the file .+"),
    "caffemodel cut in a length": (LAYER[:11], "ends within a number: the file is truncated or damaged; .+"),
    "field of an exabyte": (b"\n\x02ab\xa2\x06" + varint(2**60), r"a field claims 1,152,[\d,]+ bytes, but 0 .+"),
    "number without end": (b"\n\x02ab\xa0\x06" + b"\xff" * 50, "has a number of more than 64 bits: damaged, .+"),
    "groups": (b"\n\x02ab\x0b\x0c", r"not a protocol buffer \(it has wire type 3\): damaged, or another kind .+"),
    "newline and text": (b"\n\n\n\nHello, this is a text file", "not a protocol buffer .+|a field claims .+"),
    "negative dimensions": (
        layer("fc8", "InnerProduct", field(7, field(1, -4) + field(1, -4)) + field(5, FLOATS.tobytes())),
        "a blob of fc8 is -4×-4, but has 16 numbers in 1 parts: the file is damaged; get a new copy",
    ),
    "huge dimensions": (
        v1_layer("fc8", 14, field(3, 10**9) + field(4, 10**9) + field(5, FLOATS.tobytes())),
        "a blob of fc8 is 0×0×1000000000×1000000000, but has 16 numbers in 1 parts: the file is damaged; .+",
    ),
    "fewer numbers than the shape": (
        layer("fc8", "InnerProduct", field(7, field(1, 4) + field(1, 5)) + field(5, FLOATS.tobytes())),
        "a blob of fc8 is 4×5, but has 16 numbers in 1 parts: the file is damaged; get a new copy",
    ),
    "half a number": (
        layer("fc8", "InnerProduct", field(5, bytes(15))),
        "a blob of fc8 ends within a number: the file is damaged; get a new copy",
    ),
    "numbers in pieces": (
        layer("fc8", "InnerProduct", 2 * field(5, bytes(32)) + field(7, field(1, 4) + field(1, 4))),
        "a blob of fc8 is 4×4, but has 16 numbers in 2 parts: the file is damaged; get a new copy",
    ),
    "kernel of three dimensions": (
        layer("conv1", "Convolution", blob(np.ones((2, 3, 4)))),
        "the kernel of conv1 is 2×3×4, which does not fit a layer of type Convolution; get a new copy of the file",
    ),
    "wrong number of biases": (
        layer("fc8", "InnerProduct", blob(FLOATS), blob(np.ones(3))),
        "fc8 has 3 biases for 4 outputs; get a new copy",
    ),
    "batch norm": (
        LAYER + layer("bn1", "BatchNorm", *[blob(np.ones(3))] * 3),
        "layer bn1 has type BatchNorm and 3 blobs; expected Convolution or InnerProduct with kernel and bias; .+",
    ),
    "layer of an unknown number": (
        v1_layer("up", 39, blob(np.ones((1, 1, 2, 2)))), "layer up has type 39 and 1 blobs; expected .+",
    ),
    "layer whose type is a float": (
        field(2, field(4, "fc8") + b"\x2d" + bytes(4) + field(6, blob(FLOATS))),
        "layer fc8 has type none and 1 blobs; expected .+",
    ),
    "V0 layers": (field(2, field(1, "old")), "written by a Caffe version from before 2014 .+ upgrade_net_proto_binary"),
    "same layer twice": (LAYER + LAYER[9:], "two layers own fc8/kernel; expected one; .+"),
    "no weights": (field(1, "AlexNet") + layer("relu1", "ReLU"), "expected a Caffe network with weights, but .+"),
    "hundred thousand layers": (field(100, b"") * 100_000, "refused: a message with more than 10,000 fields, .+"),
    "layer name with a newline": (
        layer("fc8\nok", "ReLU") + layer("x\ny", "Scale", blob(FLOATS)), r"layer x\\ny has type Scale and 1 .+",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_each_is_refused_with_its_message(content: Content, message: str, tmp_path: Path) -> None:
    line = refusal(tmp_path / "weights.bin", content)
    assert re.fullmatch(message, line), line
