"""A net of Caffe's and a network of this package: what is the same, which layers start fresh, the mean, the fillers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.caffe_prototxt import net_text, write_solver
from support.weights_bytes import blob

from finetune.data.preprocessing import CAFFE_MEAN_BGR
from finetune.errors import UsageError, WeightsError
from finetune.networks import Network, build
from finetune.training.caffe_fit import (
    check_same_network,
    filled,
    fitted,
    fresh_layers,
    mean_of,
    preprocessing_of,
    trained_layers,
)
from finetune.training.caffe_net import CaffeNet
from finetune.training.caffe_solver import CaffeSolver, read_solver

SMALL = {"num_classes": 3, "input_size": 67, "fc_units": 8}
ALEXNET, CAFFENET = build("alexnet", SMALL), build("caffenet", SMALL)
MEAN = "mean_value: 104 mean_value: 117 mean_value: 123"
ALL = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


def solver_of(
    folder: Path, network: Network = ALEXNET, replaced: tuple[str, str] = ("", ""), **options: Any
) -> CaffeSolver:
    text = net_text(network, **options)
    assert replaced[0] in text
    return read_solver(write_solver(folder, text.replace(*replaced)))


def net_of(folder: Path, network: Network = ALEXNET, replaced: tuple[str, str] = ("", ""), **options: Any) -> CaffeNet:
    return solver_of(folder, network, replaced, **options).net


@pytest.mark.parametrize("network", [ALEXNET, CAFFENET, build("vgg16", {"num_classes": 3})])
def test_the_same_network(tmp_path: Path, network: Network) -> None:
    check_same_network(net_of(tmp_path, network), network)
    check_same_network(net_of(tmp_path, network, dropout=False), network)


@pytest.mark.parametrize(
    ("replaced", "options", "message"),
    [
        (("num_output: 3 ", "num_output: 20 "), {},
         "fc8 has num_output 20, but the data has 3 classes; change num_output to 3"),
        (("kernel_size: 11", "kernel_size: 7"), {},
         "expected the layers of alexnet, conv1 (Conv: filters 96, kernel_size 11, strides 4, padding valid, groups 1, "
         "relu True), but found conv1 (Conv: filters 96, kernel_size 7, strides 4, padding 0, groups 1, relu True); "
         "choose weights of that network, or train with Caffe"),
        (("alpha: 0.0001", "alpha: 0.001"), {},
         "expected the layers of alexnet, norm1 (LocalResponseNorm: size 5, alpha 0.0001, beta 0.75, k 1.0), but found "
         "norm1 (LocalResponseNorm: size 5, alpha 0.001, beta 0.75, k 1.0); choose weights of that network, or train "
         "with Caffe"),
        (('layer { name: "relu_fc7" type: "ReLU" bottom: "fc7" top: "fc7" }', ""), {},
         "expected the layers of alexnet, fc7 (Dense: units 8, relu True), but found fc7 (Dense: units 8, relu False); "
         "choose weights of that network, or train with Caffe"),
    ],
)  # fmt: skip
def test_another_network(tmp_path: Path, replaced: tuple[str, str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        check_same_network(net_of(tmp_path, replaced=replaced, **options), ALEXNET)
    assert str(error.value) == f"train_val.prototxt: {message}"


def test_the_network_that_it_is(tmp_path: Path) -> None:
    """CaffeNet at its own size, in place of the default: the advice is its name."""
    published = build("caffenet", {"num_classes": 20})
    with pytest.raises(UsageError) as error:
        check_same_network(net_of(tmp_path, published), build("alexnet", {"num_classes": 20}))
    found = "but found pool1 (MaxPool: pool_size 3, strides 2, padding valid)"
    assert str(error.value).endswith(f"{found}; add --network caffenet")


def test_a_net_that_is_shorter(tmp_path: Path) -> None:
    net = net_of(tmp_path)
    with pytest.raises(UsageError, match=r"expected the layers of alexnet, the end, but found fc8 \(Dense: units 3"):
        check_same_network(net, Network("alexnet", ALEXNET.options, ALEXNET.preprocessing, ALEXNET.layers[:-1]))


def test_layers_with_names_of_their_own_start_fresh(tmp_path: Path) -> None:
    """Caffe loads by name, so renaming a layer is how an example says that it starts fresh."""
    assert fresh_layers(net_of(tmp_path), ALEXNET) == ()
    names = {"fc8": "fc8_style", "fc7": "FC7", "conv2": "conv2_new"}
    assert fresh_layers(net_of(tmp_path, names=names), ALEXNET) == ("conv2", "fc8")


def test_which_layers_are_trained(tmp_path: Path) -> None:
    """Those with a rate for kernel or bias; --train restricts them."""
    net = net_of(tmp_path, rates={"conv1": (0, 0), "conv2": (0, 0), "conv3": (0, 2)})
    assert trained_layers(net, ALEXNET, ("fc8",), ()) == ALL[2:]
    assert trained_layers(net, ALEXNET, ("fc8",), ("fc6",)) == ("fc6", "fc8")
    for skip, asked, message in (
        (("fc8",), ("conv1",), "conv1 has lr_mult 0, so it would not be trained, but it is in --train"),
        (("conv2",), (), "conv2 has lr_mult 0, so it would not be trained, but it starts fresh"),
    ):
        with pytest.raises(UsageError) as error:
            trained_layers(net, ALEXNET, skip, asked)
        assert str(error.value) == f"train_val.prototxt: {message}; change one of the two"


def test_rates_and_decays_have_our_names(tmp_path: Path) -> None:
    solver = fitted(solver_of(tmp_path, names={"fc8": "fc8_style"}), ALEXNET, images=10)
    assert (solver.rates["conv1/kernel"], solver.rates["conv1/bias"]) == (1, 2)
    assert (solver.rates["fc8/kernel"], solver.rates["fc8/bias"]) == (10, 20)
    assert (solver.decays["fc8/kernel"], solver.decays["fc8/bias"]) == (0.0005, 0)
    assert set(solver.rates) == set(solver.decays) == set(ALEXNET.weight_shapes())
    assert [solver.iterations(epoch) for epoch in (1, 2, 4)] == [range(3), range(3, 6), range(9, 10)]


def test_the_digest_is_that_of_all_files(tmp_path: Path) -> None:
    one = fitted(solver_of(tmp_path / "one"), ALEXNET, 10).sha256
    assert fitted(solver_of(tmp_path / "two"), ALEXNET, 10).sha256 == one
    other_mean = solver_of(tmp_path / "three", replaced=("mean_value: 104", "mean_value: 103"))
    assert fitted(other_mean, ALEXNET, 10).sha256 != one
    changed = read_solver(write_solver(tmp_path / "four", net_text(ALEXNET), stepsize=5))
    assert fitted(changed, ALEXNET, 10).sha256 != one


@pytest.mark.parametrize(
    ("transform", "data", "expected"),
    [
        (f"crop_size: 67 {MEAN}", "", ((104, 117, 123), (1, 1, 1), "crop", 76)),  # 67 · 256 / 227
        (f"crop_size: 67 {MEAN}", "new_height: 80 new_width: 80", ((104, 117, 123), (1, 1, 1), "crop", 80)),
        ("mean_value: 128 scale: 0.0078125", "new_height: 67 new_width: 67", ((128,) * 3, (128,) * 3, "warp", 76)),
        ("", "", ((0, 0, 0), (1, 1, 1), "crop", 76)),
        ('mean_file: "data/ilsvrc12/imagenet_mean.binaryproto"', "", (CAFFE_MEAN_BGR, (1, 1, 1), "crop", 76)),
    ],
)
def test_how_images_enter(
    tmp_path: Path, transform: str, data: str, expected: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    text = net_text(ALEXNET).replace(f"mirror: true crop_size: 67 {MEAN}", transform)
    net = read_solver(write_solver(tmp_path, text.replace("batch_size: 4", f"batch_size: 4 {data}"))).net
    found = preprocessing_of(net, ALEXNET, keep_resize=False)
    assert (found.mean, found.std, found.resize, found.resize_to) == expected
    assert found.size == 67
    warnings = {
        "80": "train_val.prototxt squeezes images to 80 × 80 pixels; here their short side is resized to as many, and "
        "--resize warp squeezes them to 67 × 67",
        "mean_file": "train_val.prototxt subtracts the image data/ilsvrc12/imagenet_mean.binaryproto; here it is its "
        "mean per channel",
    }
    expected_warnings = [text for part, text in warnings.items() if part in transform + data]
    assert [record.getMessage() for record in caplog.records] == expected_warnings


def test_resize_counts_if_it_is_given(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = net_text(CAFFENET).replace("batch_size: 4", "batch_size: 4 new_height: 80 new_width: 80")
    net = read_solver(write_solver(tmp_path, text)).net
    assert preprocessing_of(net, CAFFENET, keep_resize=True).resize == CAFFENET.preprocessing.resize
    assert not caplog.records


def test_the_mean_image(tmp_path: Path) -> None:
    """Its mean per channel: here 10, 20 and 30 with 1 more in half of the pixels."""
    image = np.array([10.0, 20.0, 30.0], np.float32)[:, None, None] + np.array([[0, 1], [1, 0]], np.float32)
    net = net_of(tmp_path, replaced=(MEAN, 'mean_file: "data/mean.binaryproto"'))
    (tmp_path / "mean.binaryproto").write_bytes(blob(image[None], legacy=True))
    assert mean_of(net) == (10.5, 20.5, 30.5)
    (tmp_path / "mean.binaryproto").write_bytes(blob(image[:1]))
    with pytest.raises(WeightsError, match=r"mean.binaryproto: expected a mean image of 3 channels, not 1; choose"):
        mean_of(net)
    (tmp_path / "mean.binaryproto").write_bytes(blob(image[0]))
    with pytest.raises(WeightsError, match="expected a mean image, channels × height × width, but it is 2×2; choose"):
        mean_of(net)
    (tmp_path / "mean.binaryproto").unlink()
    with pytest.raises(UsageError) as error:
        mean_of(net)
    assert str(error.value) == (
        "train_val.prototxt: mean_file 'data/mean.binaryproto' is neither in the working directory nor next to the "
        "net; put it there, or write mean_value three times in its place"
    )


@pytest.mark.parametrize("size", ["crop_size: 66", "crop_size: 0"])
def test_another_size(tmp_path: Path, size: str) -> None:
    data = "batch_size: 4 new_height: 66 new_width: 66"
    text = net_text(ALEXNET).replace("crop_size: 67", size).replace("batch_size: 4", data)
    with pytest.raises(UsageError) as error:
        preprocessing_of(read_solver(write_solver(tmp_path, text)).net, ALEXNET, keep_resize=False)
    assert str(error.value) == (
        "train_val.prototxt: expected images of 67 pixels in the order BGR, as the network takes them, but the net "
        "gives 66 pixels in the order BGR; choose weights of that input"
    )


def test_fillers(tmp_path: Path) -> None:
    """gaussian has the deviation std; xavier is uniform within ±√(3 / inputs), include/caffe/filler.hpp."""
    own = 'weight_filler { type: "gaussian" std: 0.01 } bias_filler { type: "constant" value: 1 }'
    found = filled(net_of(tmp_path), ALEXNET, ("conv2", "fc8"), seed=1)
    assert set(found) == {"conv2/kernel", "conv2/bias", "fc8/kernel", "fc8/bias"}
    assert found["conv2/kernel"].dtype == np.float32
    assert found["conv2/kernel"].std() == pytest.approx(0.01, rel=0.01)
    assert abs(found["conv2/kernel"].mean()) < 1e-4
    assert (found["conv2/bias"] == 1).all()
    again, other = (filled(net_of(tmp_path), ALEXNET, ("conv2",), seed)["conv2/kernel"] for seed in (1, 2))
    np.testing.assert_array_equal(again, found["conv2/kernel"])
    assert not np.array_equal(other, again)

    xavier = filled(net_of(tmp_path, replaced=(own, 'weight_filler { type: "xavier" }')), ALEXNET, ("conv2",), seed=1)
    bound = np.sqrt(3 / (5 * 5 * 48))
    assert 0.99 * bound < np.abs(xavier["conv2/kernel"]).max() <= bound
    assert xavier["conv2/kernel"].std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    assert (xavier["conv2/bias"] == 0).all()
    zeros = filled(net_of(tmp_path, replaced=(own, "")), ALEXNET, ("fc8",), seed=1)
    assert not any(value.any() for value in zeros.values()), "without a filler it is constant, with the value 0"

    for filler, message in (
        ('type: "msra"', ": expected a filler of type constant, gaussian or xavier, not msra; train with Caffe"),
        ('type: "gaussian" sparse: 3', ": sparse cannot be honoured; remove it, or train with Caffe"),
        ('type: "xavier" variance_norm: AVERAGE', ": variance_norm cannot be honoured; remove it, or train with Caffe"),
    ):
        net = net_of(tmp_path, replaced=('type: "gaussian" std: 0.01', filler))
        with pytest.raises(UsageError) as error:
            filled(net, ALEXNET, ("fc8",), seed=1)
        assert str(error.value) == f"train_val.prototxt, layer fc8, inner_product_param, weight_filler{message}"
