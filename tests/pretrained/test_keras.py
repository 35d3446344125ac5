"""Keras' files, as Keras writes them and by hand, and what is refused."""

import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.pretrained.keras import read_keras
from finetune.pretrained.layer_names import VGG16_CONVS
from finetune.pretrained.weights_file import Array

RNG = np.random.default_rng(0)
VGG16 = [f"block{name[4]}_conv{name[6]}" for name in VGG16_CONVS] + ["fc1", "fc2", "predictions"]
CAFFE = [*VGG16_CONVS, "fc6", "fc7", "fc8"]


def weights(count: int) -> list[tuple[Array, Array]]:
    """Kernel and bias of `count` - 3 convolutions and three dense layers."""
    shapes: list[tuple[int, ...]] = [(3, 2, 3 if i == 0 else 4, 4) for i in range(count - 3)] + [(4, 6), (6, 6), (6, 5)]
    return [(RNG.standard_normal(s, np.float32), RNG.standard_normal(s[-1], np.float32)) for s in shapes]


def hdf5(content: Mapping[str, Any], path: Path | None = None) -> bytes:
    """An HDF5 file with these datasets; a path beside `vars` gets the layer's name where `content` has one."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for key, value in content.items():
            if isinstance(value, str):
                file.require_group(key).attrs["name"] = value
            else:
                file[key] = value
    return buffer.getvalue()


def zipped(content: Mapping[str, Any], config: Any, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A .keras file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        archive.writestr("config.json", config if isinstance(config, str | bytes) else json.dumps(config))
        archive.writestr("model.weights.h5", hdf5(content))
    return buffer.getvalue()


def configured(*layers: tuple[str, str]) -> dict[str, Any]:
    """The part of config.json that counts: class and name of each layer in forward order."""
    return {"config": {"layers": [{"class_name": kind, "config": {"name": name}} for kind, name in layers]}}


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def check(path: Path, pairs: list[tuple[Array, Array]], names: list[str], network: str | None) -> None:
    """The file at `path` has kernels and biases under these names and in this order."""
    file = read_keras(path)
    assert (file.format, file.network, file.channel_first) == ("keras", network, False)
    assert list(file.tensors) == [f"{name}/{weight}" for name in names for weight in ("kernel", "bias")]
    for name, (kernel, bias) in zip(names, pairs, strict=True):
        np.testing.assert_array_equal(file.tensors[f"{name}/kernel"], kernel)
        np.testing.assert_array_equal(file.tensors[f"{name}/bias"], bias)


@pytest.mark.parametrize(
    "form",
    [
        "{0}/{0}/{1}:0",  # Keras 2, weights only
        "model_weights/{0}/{0}/{1}:0",  # Keras 2
        "model_weights/{0}/vgg16/{0}/{1}",  # Keras 3
        "model_weights/vgg16/{0}/{1}",  # a model within a model
    ],
)
def test_vgg16_in_old_hdf5_files(tmp_path: Path, form: str) -> None:
    pairs = weights(16)
    content = {
        form.format(layer, weight): array
        for layer, pair in zip(VGG16, pairs, strict=True)
        for weight, array in zip(("kernel", "bias"), pair, strict=True)
    }
    check(written(tmp_path / "vgg16.h5", hdf5(content)), pairs, CAFFE, "vgg16")


def test_the_published_vgg16_calls_its_weights_w_and_b(tmp_path: Path) -> None:
    pairs = weights(16)
    content = {}
    for layer, (kernel, bias) in zip(VGG16, pairs, strict=True):
        content |= {f"{layer}/{layer}_W_1:0": kernel, f"{layer}/{layer}_b_1:0": bias}
    check(written(tmp_path / "vgg16.h5", hdf5(content)), pairs, CAFFE, "vgg16")


def numbered(pairs: list[tuple[Array, Array]]) -> dict[str, Any]:
    """Keras 3's groups for convolutions and three dense layers."""
    groups = [f"conv2d_{i}" if i else "conv2d" for i in range(len(pairs) - 3)] + ["dense", "dense_1", "dense_2"]
    return {
        f"layers/{group}/vars/{i}": array
        for group, pair in zip(groups, pairs, strict=True)
        for i, array in enumerate(pair)
    }


def test_keras_3_with_names_in_the_groups(tmp_path: Path) -> None:
    pairs = weights(16)
    groups = dict.fromkeys(key.rpartition("/")[0] for key in numbered(pairs))
    content = numbered(pairs) | dict(zip(groups, VGG16, strict=True))
    check(written(tmp_path / "vgg16.weights.h5", hdf5(content)), pairs, CAFFE, "vgg16")


def test_keras_3_with_names_in_config_json(tmp_path: Path) -> None:
    pairs = weights(16)
    kinds = ["Conv2D"] * 13 + ["Dense"] * 3
    config = configured(("InputLayer", "input"), *zip(kinds, VGG16, strict=True))
    check(written(tmp_path / "vgg16.keras", zipped(numbered(pairs), config)), pairs, CAFFE, "vgg16")


@pytest.mark.parametrize("count", [8, 16])
def test_automatic_names_are_counted(tmp_path: Path, count: int) -> None:
    pairs = weights(count)
    names = CAFFE if count == 16 else ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    check(written(tmp_path / "model.weights.h5", hdf5(numbered(pairs))), pairs, names, None)


def test_without_its_top_vgg16_is_still_vgg16(tmp_path: Path) -> None:
    pairs = weights(16)[:13]
    content = {}
    for layer, (kernel, bias) in zip(VGG16[:13], pairs, strict=True):
        content |= {f"{layer}/{layer}/kernel:0": kernel, f"{layer}/{layer}/bias:0": bias}
    check(written(tmp_path / "notop.h5", hdf5(content)), pairs, CAFFE[:13], "vgg16")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.h5", "model.weights.h5", "model.keras"])
@pytest.mark.parametrize("own_names", [True, False])
def test_what_keras_itself_writes(tmp_path: Path, name: str, own_names: bool) -> None:
    import keras

    def called(layer: str) -> dict[str, str]:
        return {"name": layer} if own_names else {}

    model = keras.Sequential(
        [
            keras.layers.Input((9, 9, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", **called("conv1")),
            keras.layers.BatchNormalization(**called("bn1")),
            keras.layers.Conv2D(5, 3, **called("conv2")),
            keras.layers.BatchNormalization(**called("bn2")),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, **called("fc3")),
        ]
    )
    model.compile("adam", "mse")
    model.fit(np.ones((2, 9, 9, 3)), np.ones((2, 2)), verbose=0)  # an optimizer with a state
    (model.save_weights if ".weights." in name else model.save)(tmp_path / name)
    file = read_keras(tmp_path / name)
    assert file.layers() == ["conv1", "bn1", "conv2", "bn2", "fc3"]
    for tensor, expected in zip(file.tensors.values(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(tensor, expected)


@pytest.mark.parametrize("in_zip", [True, False])
def test_arrays_are_views_of_the_file(tmp_path: Path, in_zip: bool) -> None:
    content = {
        "layers/dense/vars/0": np.ones((1000, 9000), np.float32),
        "layers/dense/vars/1": np.ones(9000, np.float32),
    }
    path = written(tmp_path / "large", zipped(content, configured(("Dense", "fc6"))) if in_zip else hdf5(content))
    read_keras(path)  # h5py is imported now
    tracemalloc.start()
    file = read_keras(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.02 * path.stat().st_size
    assert not next(iter(file.tensors.values())).flags.writeable


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
    """The dataset's address lies behind the end of the file."""
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
DAMAGED = "its HDF5 structure is truncated or damaged; get the file again"
ELSEWHERE = "is a link to elsewhere, Keras writes none; get the file from a source you trust"
PIECE = "bytes that do not lie in the file as one piece, as Keras writes them; load and save it again with Keras"
NAMES = (
    r"expected layers called as in keras\.applications' VGG16 \(block1_conv1, …, predictions\) or as in Caffe "
    r"\(conv1, bn1, fc6\), but it has"
)
NO_WEIGHT = "is no weight of a convolution, a dense layer or batch normalisation, or is there twice; .*"
NO_CONFIG = r"its config\.json is damaged or no Keras model's; save the model again"
HOSTILE: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "empty": (b"", "expected a weights file, but the file is empty; get it again"),
    "signature only": (GOOD[:8], DAMAGED),
    "half": (GOOD[: len(GOOD) // 2], DAMAGED),
    "broken inside": (GOOD[:600] + bytes(2000) + GOOD[2600:], DAMAGED),
    "no weights": (
        made(lambda file: file.create_group("layers")),
        "expected the weights of a Keras model, .* none; .*",
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
    "data behind the end": (
        moved,
        DAMAGED,
    ),
    "groups that hold themselves": (made(itself), "refused: it has more groups than any model, or groups that hold .*"),
    "groups without end": (made(deeper), "refused: it has more groups than any model, or groups that hold themselves"),
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
    "another network": (hdf5({"stem/stem/kernel:0": ONE}), f"{NAMES} stem; rename the layers and save again"),
    "half of one": (hdf5({"block1_conv1/kernel": ONE, "dense_3/kernel": ONE}), f"{NAMES} dense_3; rename .*"),
    "another weight": (hdf5({"conv1/conv1/alpha:0": ONE}), f"conv1/conv1/alpha:0 {NO_WEIGHT}"),
    "twice": (made(twice), f"model/conv1/kernel {NO_WEIGHT}|conv1/kernel {NO_WEIGHT}"),
    "three numbered": (hdf5({f"layers/dense/vars/{i}": ONE for i in range(3)}), f"layers/dense/vars/2 {NO_WEIGHT}"),
    "number of 5000 digits": (hdf5({"layers/dense/vars/" + "9" * 5000: ONE}), f"layers/dense/vars/9{{42}} {NO_WEIGHT}"),
    "name for the terminal": (hdf5({"\x1b[2J/kernel": ONE}), rf"{NAMES} \\x1b\[2J; rename the layers and save again"),
    "half a zip": (
        zipped(numbered(weights(8)), {})[:5000],
        "its zip archive is truncated or damaged; get the file again",
    ),
    "zip bomb": (
        zipped({"conv1/kernel": np.zeros((2000, 1000), "<f4")}, configured(), zipfile.ZIP_DEFLATED),
        r"refused: model\.weights\.h5 in its zip archive is compressed or encrypted, .*",
    ),
    "no config": (
        zipped({}, "").replace(b"config.json", b"konfig.json"),
        r"expected model\.weights\.h5 and config\.json .*",
    ),
    "config of no model": (zipped({}, [1]), NO_CONFIG),
    "config without end": (zipped({}, b"[" * 100_000), NO_CONFIG),
    "config of 11 MB": (zipped({}, b" " * 11_000_000), NO_CONFIG),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_and_broken_files(tmp_path: Path, case: str) -> None:
    content, message = HOSTILE[case]
    path = written(tmp_path / "bad.h5", content if isinstance(content, bytes) else content())
    tracemalloc.start()
    with pytest.raises(WeightsError, match=rf"\Abad\.h5: (?:{message})\Z"):
        read_keras(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_lambda_layer_in_the_model_is_never_made(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    code = {"class_name": "Lambda", "config": {"name": "run", "function": f"open({str(canary)!r}, 'w')"}}
    config = configured(("Dense", "fc6"))
    config["config"]["layers"].append(code)
    content = {"layers/dense/vars/0": np.ones((3, 4), np.float32), "layers/dense/vars/1": np.ones(4, np.float32)}
    assert read_keras(written(tmp_path / "model.keras", zipped(content, config))).layers() == ["fc6"]
    assert not canary.exists()
