"""Names, axes, the last layer and what is no weight: one step for every format; the expected names are Caffe's."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from support.pytorch_files import LAYERS, VGG16, described_state, state_dict, written, zipped

from finetune.errors import WeightsError
from finetune.formats.read_weights import read_weights
from finetune.formats.tensor_names import is_weight, with_our_names
from finetune.formats.weights_file import Array, WeightsFile

EIGHT = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
DENSE, SQUARE, BIAS = np.zeros((9, 8), np.float32), np.zeros((8, 8), np.float32), np.zeros(8, np.float32)


def file_of(*layers: str, others: tuple[str, ...] = (), **fields: Array) -> WeightsFile:
    """Return a file with an 8 × 8 kernel and a bias for each layer."""
    tensors = {f"{layer}/{name}": t for layer in layers for name, t in (("kernel", SQUARE), ("bias", BIAS))}
    return WeightsFile(Path("some.npy"), "npy", {**tensors, **fields}, others=others)


@pytest.mark.parametrize(
    ("raw", "ours"),
    [
        ("conv1/weights:0", "conv1/kernel"),
        ("conv1/biases:0", "conv1/bias"),
        ("conv1/kernel:0", "conv1/kernel"),
        ("conv1_W", "conv1/kernel"),
        ("conv1W", "conv1/kernel"),
        ("conv1b", "conv1/bias"),
        ("conv1_1_b", "conv1_1/bias"),
        ("alexnet_v2/conv1/weights", "conv1/kernel"),
        ("conv1/conv1/weights", "conv1/kernel"),
        ("net.conv1.weight", "conv1/kernel"),
        ("module.conv1.0.weight", "conv1/kernel"),
        ("model/state_dict/fc6.bias", "fc6/bias"),
        ("Conv_1/weights", "conv1/kernel"),
        ("arr_0/fc8_flickr/kernel", "fc8_flickr/kernel"),
        ("stem.3.weight", "stem.3/kernel"),
        ("bn1/running_var", "bn1/moving_variance"),
    ],
)
def test_names_of_other_programs(raw: str, ours: str) -> None:
    tensor = np.zeros((9, 8), np.float32) if ours.endswith("kernel") else BIAS
    file = WeightsFile(Path("some.npy"), "npy", {raw: tensor})
    assert list(with_our_names(file).tensors) == [ours]


@pytest.mark.parametrize("name", ["mean", "global_step", "conv1/weights/Momentum:0", "beta1_power:0", "webcam", "W"])
def test_names_that_are_not_of_weights(name: str) -> None:
    assert not is_weight(name)


def test_entries_that_are_not_weights_are_listed(caplog: pytest.LogCaptureFixture) -> None:
    """A container with nothing of use in it counts once; a mean of three axes is not a kernel, a scale not a bias."""
    extra = {
        "mean": np.zeros(3),
        "fc6/weights/Momentum": SQUARE,
        "mean/kernel": np.zeros((3, 2, 2)),
        "s/bias": np.ones(()),
    }
    others = ("epoch", "optimizer/state/0/step", "optimizer/state/1/step")
    file = with_our_names(file_of("fc6", others=others, **extra))
    assert (file.layers(), file.others) == (["fc6"], ())
    assert caplog.messages == [
        "some.npy: entries that are not weights of layers, and not used: epoch, optimizer, mean, fc6/weights/Momentum, "
        "s"
    ]


def test_a_file_without_any_weight() -> None:
    with pytest.raises(WeightsError) as caught:
        with_our_names(WeightsFile(Path("some.npz"), "npz", {}, others=("arr_0", "arr_1")))
    assert str(caught.value) == (
        "some.npz: no entry is the weight of a layer: it has arr_0, arr_1; expected names like conv1/kernel, conv1_W "
        "or features.0.weight; choose another file"
    )


def test_two_names_of_one_tensor_are_refused() -> None:
    with pytest.raises(WeightsError) as caught:
        with_our_names(file_of("fc6", **{"fc6/weights:0": SQUARE}))
    assert str(caught.value) == (
        "some.npy: fc6/kernel, fc6/weights:0 are all fc6/kernel; expected one; remove the others from the file"
    )


def test_two_sets_of_weights_are_refused() -> None:
    """A model and its moving average, as timm's and other training scripts write them."""
    names = [f"{container}/{layer}" for container in ("model", "model_ema") for layer in EIGHT]
    with pytest.raises(WeightsError) as caught:
        with_our_names(file_of(*names))
    assert str(caught.value) == (
        "some.npy: model, model_ema have the same layers; expected one set of weights; remove the others from the file"
    )
    blocks = file_of(*(f"{block}/{layer}" for block in ("block1", "block2") for layer in ("conv1", "conv2")))
    assert with_our_names(blocks).layers() == ["block1/conv1", "block1/conv2", "block2/conv1", "block2/conv2"]


def test_layers_that_would_become_one_keep_their_names() -> None:
    assert with_our_names(file_of("net/fc6", "ema/fc6", "net/fc7")).layers() == ["net/fc6", "ema/fc6", "fc7"]


def test_caffes_axes_are_turned() -> None:
    """As pycaffe's net.params has them: (filters, inputs, height, width) and (outputs, inputs)."""
    rng = np.random.default_rng(0)
    conv1, conv2 = rng.random((6, 3, 5, 5), np.float32), rng.random((4, 6, 3, 3), np.float32)
    tensors = {"conv1/kernel": conv1, "conv1/bias": np.ones((1, 6)), "conv2/kernel": conv2, "fc6/kernel": DENSE}
    file = with_our_names(WeightsFile(Path("some.npz"), "npz", tensors))
    assert file.channel_first
    assert file.tensors["conv1/kernel"][4, 3, 2, 1] == conv1[1, 2, 4, 3]
    assert file.tensors["conv2/kernel"].shape == (3, 3, 6, 4)
    assert file.tensors["fc6/kernel"].shape == (8, 9)
    assert file.tensors["conv1/bias"].shape == (6,)


@pytest.mark.parametrize("first", [(11, 11, 3, 96), (3, 3, 3, 64), (3, 3, 1, 64), (5, 5, 1, 20)])
def test_our_axes_stay(first: tuple[int, ...]) -> None:
    tensors = {"conv1/kernel": np.zeros(first, np.float32), "conv2/kernel": np.zeros((3, 3, 64, 64), np.float32)}
    file = with_our_names(WeightsFile(Path("some.npz"), "npz", tensors))
    assert (file.tensors["conv1/kernel"].shape, file.channel_first) == (first, False)


@pytest.mark.parametrize("name", ["fc8_flickr", "prob", "fc9", "my-fc8", "last_linear"])
def test_a_renamed_last_layer(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    file = with_our_names(file_of("fc6", "fc7", name))
    assert file.layers() == ["fc6", "fc7", "fc8"]
    assert file.metadata == {"class_names": [str(number) for number in range(8)]}
    assert caplog.messages == [f"some.npy has no fc8, but {name} fits in its place and is used as fc8"]


@pytest.mark.parametrize(
    "layers",
    [("fc6", "fc7", "a", "b"), ("fc6", "fc7", "fc8_a", "fc8_b"), ("fc6", "a"), ("fc6", "fc7", "fc8", "fc9")],
    ids=["two heads", "two called fc8", "no fc7", "fc8 itself"],
)
def test_no_other_layer_is_taken_for_the_last(layers: tuple[str, ...]) -> None:
    file = with_our_names(file_of(*layers))
    assert (file.layers(), file.metadata) == (list(layers), {})


def test_the_only_one_called_fc8_of_several() -> None:
    assert with_our_names(file_of("fc6", "fc7", "aux", "fc8_cars")).layers() == ["fc6", "fc7", "aux", "fc8"]
    narrow = file_of("fc6", "fc7", **{"head/kernel": DENSE, "head/bias": BIAS})
    assert with_our_names(narrow).layers() == ["fc6", "fc7", "head"], "it takes 9 inputs, and fc7 has 8 units"


def renamed(state: Mapping[str, Array], **names: str) -> dict[str, Array]:
    """Return a state dict with the first part of its names replaced, as in features="net.features.module"."""
    return {
        f"{names.get(key.partition('.')[0], key.partition('.')[0])}.{key.partition('.')[2]}": t
        for key, t in state.items()
    }


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"features": "features.module"},
        {"features": "module.features", "classifier": "module.classifier"},
        {"features": "model.net.features", "classifier": "model.net.classifier"},
        {"features": "_orig_mod.backbone.features.module", "classifier": "_orig_mod.classifier"},
    ],
    ids=["torchvision", "places365", "DataParallel", "nested", "compiled"],
)
def test_torchvisions_layers_under_any_prefix(names: dict[str, str], tmp_path: Path) -> None:
    state = state_dict(LAYERS)
    file = read_weights(written(tmp_path / "a.pth", zipped(*described_state(renamed(state, **names)))))
    assert (file.network, file.layers()) == ("alexnet-owt", [*(f"conv{i}" for i in range(1, 6)), "fc6", "fc7", "fc8"])
    np.testing.assert_array_equal(file.tensors["fc7/kernel"], state["classifier.4.weight"].T)
    np.testing.assert_array_equal(file.tensors["conv2/kernel"], state["features.3.weight"].transpose(2, 3, 1, 0))


def test_cadenes_layers(tmp_path: Path) -> None:
    """_features.0, linear0, linear1 and last_linear are torchvision's features.0, classifier.1, 4 and 6."""
    new = {"features": "_features", "classifier.1": "linear0", "classifier.4": "linear1", "classifier.6": "last_linear"}
    state = state_dict(LAYERS)
    theirs = {
        next(key.replace(old, name) for old, name in new.items() if key.startswith(old)): t for key, t in state.items()
    }
    file = read_weights(written(tmp_path / "a.pth", zipped(*described_state(theirs))))
    np.testing.assert_array_equal(file.tensors["fc8/kernel"], state["classifier.6.weight"].T)
    assert file.network == "alexnet-owt"


def test_torchvisions_vgg16_in_another_format(tmp_path: Path) -> None:
    state = state_dict(VGG16, (2,) * 13)
    np.savez(tmp_path / "a.npz", **state)
    file = read_weights(tmp_path / "a.npz")
    assert (file.network, file.layers()[-4:]) == ("vgg16", ["conv5_3", "fc6", "fc7", "fc8"])
    assert file.metadata["preprocessing"]["channel_order"] == "RGB"


@pytest.mark.parametrize(
    "names", ["0 1 2 3 4 5 6 7", "layers.0 layers.3 layers.6 layers.8 layers.10 layers.14 layers.17 layers.19"]
)
def test_layers_with_only_numbers_are_named_by_their_order(names: str) -> None:
    convs = {f"{layer}/kernel": np.zeros((3, 3, 2, 4)) for layer in names.split()[:5]}
    dense = {f"{layer}/kernel": SQUARE for layer in names.split()[5:]}
    file = with_our_names(WeightsFile(Path("some.npy"), "npy", {**convs, **dense}))
    assert file.layers() == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


def test_numbers_of_two_kinds_stay() -> None:
    assert with_our_names(file_of("a.0", "b.1")).layers() == ["a.0", "b.1"]
