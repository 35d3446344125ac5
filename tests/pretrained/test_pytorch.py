"""torchvision's .pth files, written here by hand in both forms of torch.save, and by torch where it is installed."""

import io
import pickle
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.pretrained.pytorch import read_pytorch
from finetune.pretrained.weights_file import Array

NARROW = (64, 6, 7, 5, 4)  # filters of conv1 to conv5; 64 is how torchvision's AlexNet is known
LAYERS = {"features": (0, 3, 6, 8, 10), "classifier": (1, 4, 6)}
VGG16 = {"features": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), "classifier": (0, 3, 6)}
TYPES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": ml_dtypes.bfloat16, "Int": "<i4"}


def state_dict(layers: Mapping[str, tuple[int, ...]] = LAYERS, filters: tuple[int, ...] = NARROW) -> dict[str, Array]:
    """Random weights in PyTorch's order: outputs, inputs, height, width."""
    rng, channels, state = np.random.default_rng(0), 3, {}
    for index, outputs in zip(layers["features"], filters, strict=True):
        state[f"features.{index}.weight"] = rng.standard_normal((outputs, channels, 3, 2), np.float32)
        state[f"features.{index}.bias"] = rng.standard_normal(outputs, np.float32)
        channels = outputs
    for index, outputs in zip(layers["classifier"], (9, 8, 5), strict=True):
        state[f"classifier.{index}.weight"] = rng.standard_normal((outputs, channels), np.float32)
        state[f"classifier.{index}.bias"] = rng.standard_normal(outputs, np.float32)
        channels = outputs
    return state


def plain(value: Any) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def tensor(
    key: str,
    count: int,
    shape: tuple[int, ...],
    offset: int = 0,
    strides: tuple[int, ...] | None = None,
    kind: str = "Float",
) -> bytes:
    """The opcodes of one tensor, as torch's pickler writes them."""
    if strides is None:
        strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    storage = (
        b"(" + plain("storage") + named("torch", f"{kind}Storage") + plain(key) + plain("cpu") + plain(count) + b"tQ"
    )
    hooks = named("collections", "OrderedDict") + b")R"
    sizes = plain(offset) + plain(shape) + plain(strides)
    return named("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + sizes + b"\x89" + hooks + b"tR"


def described(items: Mapping[str, bytes]) -> bytes:
    """The pickle of an OrderedDict of tensors."""
    pairs = b"".join(plain(key) + value for key, value in items.items())
    return b"\x80\x02" + named("collections", "OrderedDict") + b")R(" + pairs + b"u."


def described_state(state: Mapping[str, Array], kind: str = "Float") -> tuple[bytes, dict[str, bytes]]:
    """The pickle of a state dict, and the bytes of its storages by key."""
    items = {name: tensor(str(i), array.size, array.shape, kind=kind) for i, (name, array) in enumerate(state.items())}
    return described(items), {str(i): array.astype(TYPES[kind]).tobytes() for i, array in enumerate(state.values())}


def zipped(data: bytes, storages: Mapping[str, bytes], **entries: bytes) -> bytes:
    """The zip archive of torch.save since PyTorch 1.6."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {"data.pkl": data, "byteorder": b"little", **entries}.items():
            archive.writestr(f"alexnet/{name}", content)
        for key, content in storages.items():
            archive.writestr(f"alexnet/data/{key}", content)
    return buffer.getvalue()


def stream(
    data: bytes,
    storages: Mapping[str, bytes],
    size: int = 4,
    protocol: int = 1001,
    little: bool = True,
    keys: bytes = b"",
) -> bytes:
    """The stream of torch.save before PyTorch 1.6."""
    system = {"protocol_version": 1001, "little_endian": little, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, protocol, system))
    tail = b"".join(struct.pack("<q", len(content) // size) + content for content in storages.values())
    return head + data + (keys or pickle.dumps(list(storages), 2)) + tail


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def check(path: Path, state: Mapping[str, Array], dtype: Any = "<f4") -> None:
    """The file at `path` has the AlexNet in `state`."""
    file = read_pytorch(path)
    assert (file.format, file.network, file.channel_first) == ("pytorch", "alexnet-owt", True)
    assert file.layers() == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    for (name, array), theirs in zip(file.tensors.items(), state.values(), strict=True):
        theirs = theirs.astype(dtype)
        expected = theirs.transpose(2, 3, 1, 0) if theirs.ndim == 4 else theirs.T
        assert array.dtype == theirs.dtype, name
        np.testing.assert_array_equal(array, expected, err_msg=name)


@pytest.mark.parametrize("write", [zipped, stream])
def test_both_forms(tmp_path: Path, write: Callable[..., bytes]) -> None:
    state = state_dict()
    check(written(tmp_path / "alexnet.pth", write(*described_state(state))), state)


@pytest.mark.parametrize("kind", ["Float", "Double", "Half", "BFloat16"])
def test_numbers_keep_their_type(tmp_path: Path, kind: str) -> None:
    state = state_dict()
    check(written(tmp_path / "alexnet.pth", zipped(*described_state(state, kind))), state, TYPES[kind])


def test_storages_are_found_by_key_and_not_by_order(tmp_path: Path) -> None:
    state = state_dict()
    data, storages = described_state(state)
    check(written(tmp_path / "alexnet.pth", stream(data, dict(reversed(storages.items())))), state)


def test_checkpoints_of_training_scripts(tmp_path: Path) -> None:
    data, storages = described_state({f"module.{name}": array for name, array in state_dict().items()})
    wrapped = b"\x80\x02}(" + plain("epoch") + plain(90) + plain("state_dict") + data[2:-1] + b"u."
    check(written(tmp_path / "checkpoint.pth", zipped(wrapped, storages)), state_dict())


def test_files_of_python_2(tmp_path: Path) -> None:
    state = state_dict()
    data, storages = described_state(state)
    text = re.compile(rb"X(.)\0\0\0", re.DOTALL)  # str is a byte string there, and PyTorch 0.1 had other names
    old = text.sub(rb"U\1", data).replace(b"_rebuild_tensor_v2", b"_rebuild_tensor")
    check(
        written(tmp_path / "old.pth", stream(old, storages, keys=text.sub(rb"U\1", pickle.dumps(list(storages), 2)))),
        state,
    )


def test_parts_of_a_storage(tmp_path: Path) -> None:
    state = state_dict()
    everything = np.arange(100, dtype="<f4")
    _, storages = described_state(state)
    items = {name: tensor(str(i), array.size, array.shape) for i, (name, array) in enumerate(state.items())}
    items["classifier.6.bias"] = tensor("all", 100, (5,), offset=7, strides=(3,))
    items["classifier.6.weight"] = tensor("all", 100, (5, 8), offset=20, strides=(1, 5))  # a transposed matrix
    path = written(tmp_path / "alexnet.pth", zipped(described(items), {**storages, "all": everything.tobytes()}))
    state["classifier.6.bias"] = everything[7:22:3]
    state["classifier.6.weight"] = everything[20:60].reshape(8, 5).T
    check(path, state)


def test_vgg16(tmp_path: Path) -> None:
    state = state_dict(VGG16, (2,) * 13)
    file = read_pytorch(written(tmp_path / "vgg16.pth", zipped(*described_state(state))))
    assert file.network == "vgg16"
    assert ",".join(file.layers()) == (
        "conv1_1,conv1_2,conv2_1,conv2_2,conv3_1,conv3_2,conv3_3,"
        "conv4_1,conv4_2,conv4_3,conv5_1,conv5_2,conv5_3,fc6,fc7,fc8"
    )
    np.testing.assert_array_equal(file.tensors["conv5_3/bias"], state["features.28.bias"])
    np.testing.assert_array_equal(file.tensors["fc7/kernel"], state["classifier.3.weight"].T)
    assert file.metadata["preprocessing"]["channel_order"] == "RGB"


def test_another_width_is_no_known_network(tmp_path: Path) -> None:
    state = state_dict(filters=(63, 6, 7, 5, 4))
    assert read_pytorch(written(tmp_path / "alexnet.pth", zipped(*described_state(state)))).network is None


@pytest.mark.parametrize("write", [zipped, stream])
def test_arrays_are_views_of_the_file(tmp_path: Path, write: Callable[..., bytes]) -> None:
    state = state_dict()
    state["classifier.1.weight"] = np.ones((9, 1_000_000), np.float32)
    path = written(tmp_path / "alexnet.pth", write(*described_state(state)))
    tracemalloc.start()
    file = read_pytorch(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.02 * path.stat().st_size
    assert not file.tensors["fc6/kernel"].flags.writeable


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


DAMAGED_ZIP = "its zip archive is truncated or damaged; get the file again"
STATE = r"save it with torch\.save\(model\.state_dict\(\), …\)"
RANKS = (
    r"expected floating-point kernels of convolutions \(4 dimensions\), of linear layers \(2\) and biases \(1\); "
    "save an unquantised state dict"
)
HOSTILE: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "empty": (b"", "expected a weights file, but the file is empty; get it again"),
    "half a zip": (zipped(DATA, STORAGES)[:9000], DAMAGED_ZIP),
    "zip's first bytes": (b"PK\3\4", DAMAGED_ZIP),
    "entry outside": (no_header, DAMAGED_ZIP),
    "entry of 4 GB": (
        longer_entry,
        r"alexnet/data\.pkl in its zip archive claims 4,294,967,280 bytes, but the file .*",
    ),
    "zip bomb": (compressed, r"refused: alexnet/data\.pkl in its zip archive is compressed or encrypted, .*"),
    "no data.pkl": (
        zipped(DATA, {}).replace(b"data.pkl", b"data.PKL"),
        "expected a zip .*, with one data.pkl; it has 0",
    ),
    "two data.pkl": (zipped(DATA, {"data.pkl": DATA}), "expected a zip .*, with one data.pkl; it has 2"),
    "big-endian zip": (zipped(DATA, STORAGES, byteorder=b"big"), "its numbers are not little-endian; load and save .*"),
    "no storage": (zipped(DATA, {"0": STORAGES["0"]}), "its archive lacks the storage 1; get the file again"),
    "short storage": (
        zipped(DATA, {**STORAGES, "15": b"1234"}),
        "a storage claims 5 numbers of float32, there are 4 bytes; the file is truncated or damaged, get it again",
    ),
    "path as key": (replaced(tensor("../../secret", 5, (5,))), r"its archive lacks the storage \.\./\.\./secret; .*"),
    "huge claim": (
        replaced(tensor("15", 2**59, (5,))),
        r"a storage claims 576,460,752,303,423,488 numbers of float32, .*",
    ),
    "huge shape": (
        replaced(tensor("15", 5, (10**12,))),
        r"classifier\.6\.bias claims 1000000000000 numbers, but its storage has 5; get the file again",
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
    "no tensor": (replaced(plain(1.5)), rf"expected a state dict of tensors, but classifier\.6\.bias hold .*; {STATE}"),
    "wrong rank": (replaced(tensor("15", 5, (5, 1))), rf"classifier\.6\.bias is float32 with 2 dimensions; {RANKS}"),
    "integers": (
        replaced(tensor("15", 5, (5,), kind="Int")),
        rf"classifier\.6\.bias is int32 with 1 dimensions; {RANKS}",
    ),
    "eval": (
        replaced(named("builtins", "eval")),
        r"refused: its pickle asks for builtins\.eval, .*; nothing of it was run.*",
    ),
    "whole model": (
        zipped(b"\x80\x02" + named("torchvision.models.alexnet", "AlexNet") + b")\x81.", {}),
        r"refused: its pickle asks for torchvision\.models\.alexnet\.AlexNet, which weights do not need .*",
    ),
    "tensors as text": (
        replaced(tensor("15", 5, (5,)).replace(b"Float", b"Quint8")),
        r".* asks for torch\.Quint8Storage, .*",
    ),
    "a list": (zipped(pickle.dumps([1], 2), {}), f"expected a state dict of tensors; {STATE}"),
    "other layers": (
        zipped(*described_state({"conv1.weight": GOOD["features.0.weight"], "bn1.running_mean": GOOD[BIAS]})),
        r"expected torchvision's AlexNet \(features\.0, 3, 6, 8, 10; .* has conv1\.weight, bn1\.running_mean; .*",
    ),
    "names for the terminal": (
        zipped(*described_state({"\x1b[2J" + "a" * 9000: GOOD[BIAS]})),
        r".*, but it has \\x1b\[2Ja{56}; choose weights of one of these",
    ),
    "not torch": (
        pickle.dumps({"conv1": 1}, 2),
        r"expected a \.pth that torch\.save wrote, its first bytes are another .*",
    ),
    "half a pickle": (
        stream(DATA, STORAGES)[:400],
        "its pickle is truncated or damaged at byte .*; get the file again",
    ),
    "half a storage": (
        stream(DATA, STORAGES)[:9000],
        "a storage claims 2,304 numbers of float32, there are 1,200 bytes; .*",
    ),
    "other protocol": (stream(DATA, STORAGES, protocol=1), "expected version 1001 of PyTorch's stream; load it .*"),
    "big-endian stream": (stream(DATA, STORAGES, little=False), "its numbers are not little-endian; .*"),
    "unused storage": (stream(DATA, {"99": b"1234"}), "it lists a storage that no tensor uses; get the file again"),
    "unlisted storage": (stream(DATA, {"0": STORAGES["0"]}), "its tensors use a storage that it does not list; .*"),
    "keys of no kind": (
        stream(DATA, STORAGES, keys=pickle.dumps([None, 2**70], 2)),
        "it lists a storage that no tensor uses; .*",
    ),
    "lying count": (
        stream(DATA, STORAGES, size=2),
        "a storage claims 1,152 numbers of float32, there are .* bytes; .*",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_and_broken_files(tmp_path: Path, case: str) -> None:
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
    with pytest.raises(
        WeightsError, match=r"^evil\.pth: refused: its pickle asks for os\.system, .* nothing of it was run"
    ):
        read_pytorch(written(tmp_path / "evil.pth", write(described({"features.0.weight": call}), {})))
    assert not canary.exists()


@pytest.mark.parametrize("as_zip", [True, False])
def test_what_torch_itself_writes(tmp_path: Path, as_zip: bool) -> None:
    torch = pytest.importorskip("torch")
    state = state_dict()
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    torch.save(tensors, tmp_path / "alexnet.pth", _use_new_zipfile_serialization=as_zip)
    check(tmp_path / "alexnet.pth", state)
