"""Damaged and hostile PyTorch files: each is refused with one line, and no code from it is run."""

import io
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.pytorch_files import (
    described,
    described_state,
    named,
    plain,
    state_dict,
    stream,
    tensor,
    written,
    zipped,
)

from finetune.errors import WeightsError
from finetune.formats.pytorch_file import read_pytorch

GOOD = state_dict()
DATA, STORAGES = described_state(GOOD)
BIAS = "classifier.6.bias"


def replaced(bias: bytes) -> bytes:
    """The good archive with other opcodes for the last bias, whose storage has 5 numbers."""
    items = {name: tensor(str(i), array.size, array.shape) for i, (name, array) in enumerate(GOOD.items())}
    return zipped(described({**items, BIAS: bias}), STORAGES)


def compressed() -> bytes:
    """A bomb: a data.pkl of 50 MB in 50 kB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("alexnet/data.pkl", bytes(50_000_000))
    return buffer.getvalue()


def longer_entry() -> bytes:
    """The directory claims 4 GB for data.pkl, which comes first."""
    data = bytearray(zipped(DATA, STORAGES))
    first = data.index(b"PK\1\2")
    data[first + 20 : first + 28] = struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0)
    return bytes(data)


def no_header() -> bytes:
    """The directory points into the middle of data.pkl."""
    data = bytearray(zipped(DATA, STORAGES))
    first = data.index(b"PK\1\2")
    data[first + 42 : first + 46] = struct.pack("<I", 77)
    return bytes(data)


DAMAGED_ZIP = "its zip archive is truncated or damaged; get a new copy"
STATE = r"save it with torch\.save\(model\.state_dict\(\), …\)"
RANKS = (
    r"expected floating-point kernels of convolutions \(4 dimensions\) and linear layers \(2\), and biases \(1\); "
    "save a state dict that is not quantised"
)
HOSTILE: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "empty": (b"", "expected a weights file, but it is empty; get a new copy"),
    "half a zip": (zipped(DATA, STORAGES)[:9000], DAMAGED_ZIP),
    "zip's first bytes": (b"PK\3\4", DAMAGED_ZIP),
    "entry outside": (no_header, DAMAGED_ZIP),
    "entry of 4 GB": (
        longer_entry,
        r"alexnet/data\.pkl in its zip archive claims 4,294,967,280 bytes, but the file .*",
    ),
    "zip bomb": (compressed, r"refused: alexnet/data\.pkl in its zip archive is compressed or encrypted; .*"),
    "no data.pkl": (
        zipped(DATA, {}).replace(b"data.pkl", b"data.PKL"),
        "expected a zip .*, with one data.pkl, but it has 0; choose another file",
    ),
    "two data.pkl": (
        zipped(DATA, {"data.pkl": DATA}),
        "expected a zip .*, with one data.pkl, but it has 2; choose another file",
    ),
    "big-endian zip": (
        zipped(DATA, STORAGES, byteorder=b"big"),
        "its numbers are not little-endian; load it and save .*",
    ),
    "no storage": (zipped(DATA, {"0": STORAGES["0"]}), "its archive lacks the storage 1; get a new copy of the file"),
    "short storage": (
        zipped(DATA, {**STORAGES, "15": b"1234"}),
        "a storage claims 5 numbers of float32, but has 4 bytes: the file is truncated or damaged; get a new copy",
    ),
    "path as key": (replaced(tensor("../../secret", 5, (5,))), r"its archive lacks the storage \.\./\.\./secret; .*"),
    "huge claim": (
        replaced(tensor("15", 2**59, (5,))),
        r"a storage claims 576,460,752,303,423,488 numbers of float32, .*",
    ),
    "huge shape": (
        replaced(tensor("15", 5, (10**12,))),
        r"classifier\.6\.bias claims 1000000000000 numbers, but its storage has 5; get a new copy of the file",
    ),
    "strides of 0": (
        replaced(tensor("15", 5, (10**12,), strides=(0,))),
        r"classifier\.6\.bias claims 1000000000000 .*",
    ),
    "strides beyond": (
        replaced(tensor("15", 5, (5,), strides=(2,))),
        r"classifier\.6\.bias claims 5 numbers, .* has 5; .*",
    ),
    "offset beyond": (replaced(tensor("15", 5, (5,), offset=1)), r"classifier\.6\.bias claims 5 numbers, .* has 5; .*"),
    "negative offset": (replaced(tensor("15", 5, (5,), offset=-1)), "its pickle is truncated or damaged at byte .*"),
    "negative stride": (
        replaced(tensor("15", 5, (5,), strides=(-1,))),
        "its pickle is truncated or damaged at byte .*",
    ),
    "count of 2^70": (replaced(tensor("15", 2**70, (5,))), "its pickle is truncated or damaged at byte .*"),
    "wrong rank": (replaced(tensor("15", 5, (5, 1))), rf"classifier\.6\.bias is float32 with 2 dimensions; {RANKS}"),
    "integers": (
        replaced(tensor("15", 5, (5,), kind="Int")),
        rf"classifier\.6\.bias is int32 with 1 dimensions; {RANKS}",
    ),
    "eval": (
        replaced(named("builtins", "eval")),
        r"refused: its pickle asks for builtins\.eval, .*; nothing was run.*",
    ),
    "whole model": (
        zipped(b"\x80\x02" + named("torchvision.models.alexnet", "AlexNet") + b")\x81.", {}),
        r"refused: it is a whole model, not its weights: its pickle asks for torchvision\.models\.alexnet\.AlexNet, .*",
    ),
    "tensors as text": (
        replaced(tensor("15", 5, (5,)).replace(b"Float", b"Quint8")),
        r".* asks for torch\.Quint8Storage, .*",
    ),
    "a list": (zipped(pickle.dumps([1], 2), {}), f"expected a state dict of tensors, but it has kernel; {STATE}"),
    "no tensor": (
        zipped(b"\x80\x02}(" + plain("\x1b[2J" + "a" * 9000) + plain(1.5) + b"u.", {}),
        rf"expected a state dict of tensors, but it has \\x1b\[2Ja{{56}}; {STATE}",
    ),
    "not torch": (
        pickle.dumps({"conv1": 1}, 2),
        r"expected a \.pth that torch\.save wrote, but it begins as another .*",
    ),
    "half a pickle": (
        stream(DATA, STORAGES)[:400],
        "its pickle is truncated or damaged at byte .*; get a new copy of the file",
    ),
    "half a storage": (
        stream(DATA, STORAGES)[:9000],
        "a storage claims 2,304 numbers of float32, but has 1,200 bytes: .*",
    ),
    "other protocol": (stream(DATA, STORAGES, protocol=1), "expected version 1001 of PyTorch's stream; load it .*"),
    "big-endian stream": (stream(DATA, STORAGES, little=False), "its numbers are not little-endian; .*"),
    "unused storage": (
        stream(DATA, {"99": b"1234"}),
        "it lists a storage that no tensor uses; get a new copy of the file",
    ),
    "unlisted storage": (stream(DATA, {"0": STORAGES["0"]}), "its tensors use a storage that it does not list; .*"),
    "keys of no kind": (
        stream(DATA, STORAGES, keys=pickle.dumps([None, 2**70], 2)),
        "it lists a storage that no tensor uses; .*",
    ),
    "lying count": (
        stream(DATA, STORAGES, size=2),
        "a storage claims 1,152 numbers of float32, but has .* bytes: .*",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_each_is_refused_with_its_message(tmp_path: Path, case: str) -> None:
    content, message = HOSTILE[case]
    path = written(tmp_path / "bad.pth", content if isinstance(content, bytes) else content())
    tracemalloc.start()
    with pytest.raises(WeightsError, match=rf"\Abad\.pth: {message}\Z"):
        read_pytorch(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000  # the bomb would need 50 MB, most claims more


@pytest.mark.parametrize("write", [zipped, stream])
def test_nothing_in_the_file_runs(tmp_path: Path, write: Callable[..., bytes]) -> None:
    canary = tmp_path / "canary"
    call = named("os", "system") + b"(" + plain(f"touch {canary}") + b"tR"
    with pytest.raises(WeightsError, match=r"^evil\.pth: refused: its pickle asks for os\.system, .* nothing was run"):
        read_pytorch(written(tmp_path / "evil.pth", write(described({"features.0.weight": call}), {})))
    assert not canary.exists()
