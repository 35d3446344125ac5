"""Damaged and hostile Keras files: each is refused with one line, and no code from it is run."""

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.keras_files import configured, hdf5, numbered, weights, written, zipped

from finetune.errors import WeightsError
from finetune.formats.keras_file import read_keras


def made(change: Callable[[Any], None]) -> Callable[[], bytes]:
    """An HDF5 file that `change` fills."""

    def make() -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            change(file)
        return buffer.getvalue()

    return make


def link(to: Any) -> Callable[[], bytes]:
    return made(lambda file: file.require_group("conv1").__setitem__("kernel", to))


def dataset(*args: Any, **kwargs: Any) -> Callable[[], bytes]:
    return made(lambda file: file.create_dataset("conv1/kernel", *args, **kwargs))


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((5, 6), "<f4")
    layout[:] = h5py.VirtualSource("secret.h5", "data", (5, 6))
    file.create_virtual_dataset("conv1/kernel", layout)


def itself(file: Any) -> None:
    file["a"] = file
    file["b"] = file


def deeper(file: Any) -> None:
    file["/".join("a" * 40)] = np.ones(3, np.float32)


def moved() -> bytes:
    """The address of the dataset is beyond the end of the file."""
    data = hdf5({"conv1/kernel": np.full((50, 60), 3, "<f4")})
    with h5py.File(io.BytesIO(data)) as file:
        offset = file["conv1/kernel"].id.get_offset()
    assert data.count(struct.pack("<Q", offset)) == 1
    return data.replace(struct.pack("<Q", offset), struct.pack("<Q", offset + 8000))


def twice(file: Any) -> None:
    file["conv1/kernel"] = np.ones((3, 3, 3, 4), np.float32)
    file["model/conv1/kernel"] = np.ones((3, 3, 3, 4), np.float32)


ONE = np.ones((3, 3, 3, 4), np.float32)
GOOD = hdf5(numbered(weights(8)))
DAMAGED = "its HDF5 structure is truncated or damaged; get a new copy of the file"
ELSEWHERE = "is a link, and Keras writes none; get the file from a source you trust"
PIECE = "bytes that are not in the file as one piece, as Keras writes them; load the model with Keras and save it again"
NAMES = (
    r"expected layer names as in keras\.applications' VGG16 \(block1_conv1, …, predictions\) or as in Caffe "
    r"\(conv1, bn1, fc6\), but it has"
)
NO_WEIGHT = "is not a weight of a convolution, a dense layer or batch normalisation, or occurs twice; .*"
NO_CONFIG = r"its config\.json is damaged or does not describe a Keras model; save the model again"
HOSTILE: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "empty": (b"", "expected a weights file, but it is empty; get a new copy"),
    "signature only": (GOOD[:8], DAMAGED),
    "half": (GOOD[: len(GOOD) // 2], DAMAGED),
    "damaged inside": (GOOD[:600] + bytes(2000) + GOOD[2600:], DAMAGED),
    "no weights": (
        made(lambda file: file.create_group("layers")),
        "expected the weights of a Keras model, but .* none; .*",
    ),
    "external link": (link(h5py.ExternalLink("/etc/passwd", "/data")), f"refused: conv1/kernel {ELSEWHERE}"),
    "soft link": (link(h5py.SoftLink("/elsewhere")), f"refused: conv1/kernel {ELSEWHERE}"),
    "external data": (
        dataset((5, 6), "<f4", external=[("/etc/passwd", 0, 120)]),
        f"refused: conv1/kernel claims 120 {PIECE}",
    ),
    "virtual data": (made(virtual), f"refused: conv1/kernel claims 120 {PIECE}"),
    "a terabyte without data": (
        dataset((10**6, 10**6), "<f4"),
        f"refused: conv1/kernel claims 4,000,000,000,000 {PIECE}",
    ),
    "a terabyte in chunks": (
        dataset((10**6, 10**6), "<f4", chunks=(100, 100)),
        f"refused: conv1/kernel claims 4,000,000,000,000 {PIECE}",
    ),
    "bomb": (
        dataset(data=np.zeros((4000, 1000), "<f4"), chunks=(4000, 1000), compression="gzip"),
        f"refused: conv1/kernel claims 16,000,000 {PIECE}",
    ),
    "data beyond the end": (
        moved,
        DAMAGED,
    ),
    "groups that contain themselves": (
        made(itself),
        "refused: it has more groups than any model, or groups that contain .*",
    ),
    "groups without end": (made(deeper), "refused: it has more groups than .*"),
    "text": (dataset(data=b"rm -rf"), r"conv1/kernel is object of shape \(\); expected floating-point weights; .*"),
    "integers": (dataset(data=np.ones((3, 4), np.int64)), r"conv1/kernel is int64 of shape \(3, 4\); expected .*"),
    "records": (
        dataset((3,), np.dtype([("a", "<f4")])),
        r"conv1/kernel is .*'a', '<f4'.* of shape \(3,\); expected .*",
    ),
    "no numbers": (
        dataset((0, 4), "<f4"),
        r"conv1/kernel is float32 of shape \(0, 4\); expected floating-point weights; .*",
    ),
    "another network": (hdf5({"stem/stem/kernel:0": ONE}), f"{NAMES} stem; rename the layers and save the model again"),
    "another weight": (hdf5({"conv1/conv1/alpha:0": ONE}), f"conv1/conv1/alpha:0 {NO_WEIGHT}"),
    "twice": (made(twice), f"model/conv1/kernel {NO_WEIGHT}|conv1/kernel {NO_WEIGHT}"),
    "three numbered": (hdf5({f"layers/dense/vars/{i}": ONE for i in range(3)}), f"layers/dense/vars/2 {NO_WEIGHT}"),
    "number of 5000 digits": (hdf5({"layers/dense/vars/" + "9" * 5000: ONE}), f"layers/dense/vars/9{{42}} {NO_WEIGHT}"),
    "name for the terminal": (
        hdf5({"\x1b[2J/kernel": ONE}),
        rf"{NAMES} \\x1b\[2J; rename the layers and save the model again",
    ),
    "half a zip": (
        zipped(numbered(weights(8)), {})[:5000],
        "its zip archive is truncated or damaged; get a new copy",
    ),
    "zip bomb": (
        zipped({"conv1/kernel": np.zeros((2000, 1000), "<f4")}, configured(), zipfile.ZIP_DEFLATED),
        r"refused: model\.weights\.h5 in its zip archive is compressed or encrypted; .*",
    ),
    "no config": (
        zipped({}, "").replace(b"config.json", b"konfig.json"),
        r"expected model\.weights\.h5 and config\.json .*",
    ),
    "config of another kind": (zipped({}, [1]), NO_CONFIG),
    "config without end": (zipped({}, b"[" * 100_000), NO_CONFIG),
    "config of 11 MB": (zipped({}, b" " * 11_000_000), NO_CONFIG),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_each_is_refused_with_its_message(tmp_path: Path, case: str) -> None:
    content, message = HOSTILE[case]
    path = written(tmp_path / "bad.h5", content if isinstance(content, bytes) else content())
    tracemalloc.start()
    with pytest.raises(WeightsError, match=rf"\Abad\.h5: (?:{message})\Z"):
        read_keras(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_lambda_layer_in_the_model_is_never_built(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    code = {"class_name": "Lambda", "config": {"name": "run", "function": f"open({str(canary)!r}, 'w')"}}
    config = configured(("Dense", "fc6"))
    config["config"]["layers"].append(code)
    content = {"layers/dense/vars/0": np.ones((3, 4), np.float32), "layers/dense/vars/1": np.ones(4, np.float32)}
    assert read_keras(written(tmp_path / "model.keras", zipped(content, config))).layers() == ["fc6"]
    assert not canary.exists()
