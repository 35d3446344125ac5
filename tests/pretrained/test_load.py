"""Strict loading: every layer that is not skipped fits exactly, or an error says what does not."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.formats.weights_file import Array, WeightsFile
from finetune.networks import Network, build
from finetune.pretrained.load import load_weights

NETWORK = build("alexnet", {"num_classes": 3, "input_size": 67, "fc_units": 8})


def file_of(network: Network = NETWORK, channel_first: bool = False, **changed: Array | None) -> WeightsFile:
    """Return a file with random weights; `changed` replaces them, None removes; conv1_kernel is conv1/kernel."""
    generator = np.random.default_rng(0)
    tensors = {name: generator.random(shape, np.float32) for name, shape in network.weight_shapes().items()}
    for name, tensor in changed.items():
        tensors[name.replace("_", "/")] = tensor
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    return WeightsFile(Path("some.npy"), "npy", kept, channel_first=channel_first)


def message(file: WeightsFile, skip: tuple[str, ...] = ()) -> str:
    with pytest.raises(WeightsError) as caught:
        load_weights(NETWORK, file, skip)
    return str(caught.value)


def test_every_weight_is_loaded_as_float32() -> None:
    half = np.arange(96, dtype=np.float16)
    brain = np.arange(3).astype(ml_dtypes.bfloat16)
    file = file_of(conv1_bias=half, fc8_bias=brain)
    loaded = load_weights(NETWORK, file)
    assert list(loaded) == list(NETWORK.weight_shapes())
    for name, tensor in loaded.items():
        assert (tensor.dtype, tensor.flags.c_contiguous) == (np.float32, True)
        np.testing.assert_array_equal(tensor, file.tensors[name].astype(np.float32))


def test_skipped_layers_may_be_missing_or_of_any_shape() -> None:
    file = file_of(fc8_kernel=None, fc8_bias=np.zeros(7, np.float32))
    loaded = load_weights(NETWORK, file, skip=("fc8",))
    assert [name for name in NETWORK.weight_shapes() if name not in loaded] == ["fc8/kernel", "fc8/bias"]


def test_a_missing_layer_names_both_sides_and_the_option() -> None:
    layers = "conv1, conv2, conv3, conv4, conv5, fc6, fc7, fc8"
    assert message(file_of(fc7_kernel=None, fc7_bias=None, fc8_bias=None)) == (
        f"some.npy lacks fc7, fc8/bias of alexnet: expected {layers}, but the file has conv1, conv2, conv3, "
        "conv4, conv5, fc6, fc8; choose other weights, or add --skip fc7,fc8"
    )
    empty = WeightsFile(Path("some.npy"), "npy", {})
    assert f"expected {layers}, but the file has no layers; choose" in message(empty)


def test_another_number_of_classes() -> None:
    file = file_of(fc8_kernel=np.zeros((8, 1000), np.float32), fc8_bias=np.zeros(1000, np.float32))
    assert message(file) == (
        "fc8 has 1000 outputs in some.npy, but there are 3 classes; add --skip fc8 to train it from scratch"
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"fc7_kernel": np.zeros((8, 9))}, "fc7/kernel is 8×9 in some.npy, but alexnet needs 8×8; "),
        ({"conv1_bias": np.zeros(())}, "conv1/bias is a single number in some.npy, but alexnet needs 96; "),
        ({"fc8_kernel": np.zeros((9, 3))}, "fc8/kernel is 9×3 in some.npy, but alexnet needs 8×3; "),
    ],
)
def test_another_shape(changed: dict[str, Array], expected: str) -> None:
    layer = next(iter(changed)).partition("_")[0]
    assert message(file_of(**changed)) == f"{expected}choose weights of this network, or add --skip {layer}"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value: float) -> None:
    bias = np.zeros(8, np.float32)
    bias[3] = value
    assert message(file_of(fc7_bias=bias)) == (
        "some.npy: fc7/bias has values that are not finite; get a new copy of the file"
    )
    assert "fc7/bias" not in load_weights(NETWORK, file_of(fc7_bias=bias), skip=("fc7",))


def test_layers_that_the_network_does_not_have_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    loaded = load_weights(NETWORK, file_of(fc9_kernel=np.zeros(3), bn1_gamma=np.zeros(3)))
    assert list(loaded) == list(NETWORK.weight_shapes())
    assert caplog.messages == [
        "some.npy also has fc9, bn1, which alexnet does not have; they are not used (the network has conv1, conv2, "
        "conv3, conv4, conv5, fc6, fc7, fc8)"
    ]


def test_only_the_rows_of_the_first_dense_layer_are_reordered() -> None:
    """Channel, height, width in the file: row c·h·w + y·w + x becomes row (y·w + x)·channels + c."""
    network = build("alexnet", {"num_classes": 3, "input_size": 99, "fc_units": 8})
    first = network.first_dense()
    assert first is not None
    height, width, channels = first.input_shape
    assert height * width > 1
    rows = np.arange(height * width * channels, dtype=np.float32)
    file = file_of(network, channel_first=True, fc6_kernel=np.repeat(rows[:, None], 8, axis=1))
    loaded = load_weights(network, file)
    y, x, c = height - 1, 0, 5
    assert loaded["fc6/kernel"][(y * width + x) * channels + c, 0] == c * height * width + y * width + x
    for name in ("fc7/kernel", "conv1/kernel", "fc6/bias"):
        np.testing.assert_array_equal(loaded[name], file.tensors[name])
    straight = file_of(network, fc6_kernel=file.tensors["fc6/kernel"])
    np.testing.assert_array_equal(load_weights(network, straight)["fc6/kernel"], file.tensors["fc6/kernel"])
