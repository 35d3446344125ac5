"""Keras' files, as Keras writes them and by hand."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support.keras_files import CAFFE, VGG16, configured, hdf5, numbered, weights, written, zipped

from finetune.formats.keras_file import read_keras
from finetune.formats.read_weights import read_weights
from finetune.formats.weights_file import Array


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


def test_batch_norm_with_automatic_names(tmp_path: Path) -> None:
    content = {}
    for index, suffix in enumerate(("", "_1")):
        content |= {f"layers/conv2d{suffix}/vars/0": np.ones((3, 3, 3, 4), np.float32)}
        content |= {f"layers/batch_normalization{suffix}/vars/{i}": np.full(4, 10 * index + i, "<f4") for i in range(4)}
    file = read_keras(written(tmp_path / "bn.weights.h5", hdf5(content)))
    norms = ("gamma", "beta", "moving_mean", "moving_variance")
    assert list(file.tensors) == [
        "conv1/kernel", *(f"bn1/{name}" for name in norms), "conv2/kernel", *(f"bn2/{name}" for name in norms)
    ]  # fmt: skip
    assert [file.tensors[f"bn2/{name}"][0] for name in norms] == [10, 11, 12, 13]


def test_without_its_top_vgg16_is_still_vgg16(tmp_path: Path) -> None:
    pairs = weights(16)[:13]
    content = {}
    for layer, (kernel, bias) in zip(VGG16[:13], pairs, strict=True):
        content |= {f"{layer}/{layer}/kernel:0": kernel, f"{layer}/{layer}/bias:0": bias}
    check(written(tmp_path / "notop.h5", hdf5(content)), pairs, CAFFE[:13], "vgg16")


@pytest.mark.tensorflow
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


@pytest.mark.parametrize(
    "names",
    ["conv1 conv2 conv3 conv4 conv5 fc6 fc7 food", "conv2d conv2d_1 conv2d_2 conv2d_3 conv2d_4 dense dense_1 food"],
)
def test_a_last_layer_with_another_name(tmp_path: Path, names: str) -> None:
    pairs = dict(zip(names.split(), weights(8), strict=True))
    content = {
        f"{layer}/{layer}/{name}:0": t
        for layer, pair in pairs.items()
        for name, t in zip(("kernel", "bias"), pair, strict=True)
    }
    file = read_weights(written(tmp_path / "a.h5", hdf5(content)))
    assert file.layers() == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    np.testing.assert_array_equal(file.tensors["fc8/kernel"], pairs["food"][0])
