"""Every network: parameter counts, options, preprocessing, and the same outputs as other implementations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from finetune.errors import UsageError
from finetune.networks import NETWORKS, Network, build
from finetune.networks.forward import forward
from finetune.networks.layers import BatchNorm, Conv, Dense, Dropout, MaxPool

# name -> all parameters, and how many of them are not trainable
PARAMETERS = {
    "alexnet": (60_965_224, 0),
    "caffenet": (60_965_224, 0),
    "alexnet-owt": (61_100_840, 0),
    "alexnet-book": (2_469_696, 0),
    "alexnet-bn": (62_383_848, 2_752),
    "alexnet-mnist": (4_412_810, 0),
    "vgg16": (138_357_544, 0),
}


def images(network: Network, count: int) -> np.ndarray:
    """Return random inputs in the usual range: pixels minus their mean."""
    return np.random.default_rng(1).normal(0, 60, (count, *network.input_shape)).astype(np.float32)


def assert_close(actual: tf.Tensor, expected: np.ndarray, tolerance: float) -> None:
    """Compare two outputs; the tolerance is relative to the largest value."""
    largest = np.abs(expected).max()
    assert actual.shape == expected.shape
    assert 0 < largest < np.inf  # zeros or NaN on both sides would prove nothing
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest)


def test_every_network_has_a_known_count() -> None:
    assert list(PARAMETERS) == list(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters(name: str) -> None:
    network = build(name)
    assert (network.parameters(), network.parameters() - network.trainable_parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_options_rebuild_the_same_network(name: str) -> None:
    network = build(name, {"num_classes": 7, "fc_units": 12})
    assert network.name == name
    assert network.num_classes == 7
    assert build(name, network.options) == network


@pytest.mark.parametrize("name", NETWORKS)
def test_options_rebuild_a_cut_network(name: str) -> None:
    whole = build(name, {"num_classes": 7, "fc_units": 12})
    for layer in whole.probe_layers():
        cut = whole.cut(layer)
        assert cut.layers[-1] == Dense("fc8", 7, relu=False)
        assert build(name, cut.options) == cut


def test_a_network_without_classes_cannot_be_cut() -> None:
    with pytest.raises(UsageError, match=r"^alexnet-book cannot be cut after 'pool5'; it has no classes$"):
        build("alexnet-book").cut("pool5")


@pytest.mark.parametrize("name", NETWORKS)
def test_classifier_ends_in_logits_and_has_unique_layer_names(name: str) -> None:
    network = build(name, {"num_classes": 7})
    assert network.layers[-1] == Dense("fc8", 7, relu=False)
    assert len({layer.name for layer in network.layers}) == len(network.layers)


def test_starter_alexnet() -> None:
    network = build("alexnet", {"num_classes": 200, "input_size": 163, "fc_units": 1024})
    assert network.parameters() == 7_784_008
    assert next(step.output_shape for step in network.steps() if step.layer.name == "pool5") == (4, 4, 256)


def test_alexnet_book_ends_in_pool5_unless_classes_are_asked_for() -> None:
    assert list(build("alexnet-book").steps())[-1].output_shape == (6, 6, 256)
    # The classifier is torchvision's, and so is every other layer's size.
    assert build("alexnet-book", {"num_classes": 1000}).parameters() == PARAMETERS["alexnet-owt"][0]


def test_caffenet_is_alexnet_with_pooling_before_normalisation() -> None:
    alexnet, caffenet = build("alexnet"), build("caffenet")
    assert sorted(alexnet.layers, key=str) == sorted(caffenet.layers, key=str)
    assert [layer.name for layer in alexnet.layers[:6]] == ["conv1", "norm1", "pool1", "conv2", "norm2", "pool2"]
    assert [layer.name for layer in caffenet.layers[:6]] == ["conv1", "pool1", "norm1", "conv2", "pool2", "norm2"]


@pytest.mark.parametrize(
    ("name", "order", "size", "resize_to", "pixel", "expected"),
    [
        ("alexnet", "BGR", 227, 256, (104, 117, 123), (-0.007, 0.331, 0.321)),
        ("caffenet", "BGR", 227, 256, (104, 117, 123), (-0.007, 0.331, 0.321)),
        ("alexnet-bn", "BGR", 227, 256, (104, 117, 123), (-0.007, 0.331, 0.321)),
        ("alexnet-book", "BGR", 224, 256, (104, 117, 123), (-0.007, 0.331, 0.321)),
        ("vgg16", "BGR", 224, 256, (104, 117, 124), (0.061, 0.221, 0.32)),
        # (1 - mean) / std, the values every torchvision user knows for a white pixel.
        ("alexnet-owt", "RGB", 224, 256, (255, 255, 255), (2.2489, 2.4286, 2.64)),
        ("alexnet-mnist", "GRAY", 28, 28, (255,), (1.0,)),
    ],
)
def test_preprocessing(
    name: str, order: str, size: int, resize_to: int, pixel: tuple[int, ...], expected: tuple[float, ...]
) -> None:
    preprocessing = build(name).preprocessing
    assert (preprocessing.channel_order, preprocessing.size, preprocessing.resize_to) == (order, size, resize_to)
    np.testing.assert_allclose(preprocessing.normalize(np.uint8([[pixel]]))[0, 0], expected, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_adams_learning_rate(name: str) -> None:
    """Ten times as large only for the one network without wide layers, which is meant to be trained from scratch."""
    assert build(name).adam_learning_rate == (1e-3 if name == "alexnet-mnist" else 1e-4)


def test_unknown_network_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"no network 'vgg19' \(did you mean vgg16\?\); the networks are alexnet, caf"):
        build("vgg19")


def test_invalid_options_are_errors() -> None:
    with pytest.raises(UsageError, match="vgg16 has no option 'depth'; it has num_classes, input_size, fc_units"):
        build("vgg16", {"depth": 19})
    for value in (-1, 2.5, "many", True):
        with pytest.raises(UsageError, match=f"vgg16: fc_units must be a whole number of 0 or more, not {value!r}"):
            build("vgg16", {"fc_units": value})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("name", "size", "layer"),
    [("alexnet", 66, "pool5"), ("vgg16", 31, "pool5"), ("alexnet-owt", 62, "pool5"), ("alexnet", 10, "conv1")],
)
def test_too_small_an_input_is_an_error(name: str, size: int, layer: str) -> None:
    with pytest.raises(
        UsageError, match=f"{name}: nothing is left after {layer} with .*input_size={size}.*; use larger"
    ):
        build(name, {"input_size": size})
    assert build(name, {"input_size": size + 1 if layer == "pool5" else 67})


# Keras' layer names -> Caffe's
KERAS_VGG16 = {
    **{f"block{block}_conv{i}": f"conv{block}_{i}" for block in range(1, 6) for i in range(1, 4)},
    "fc1": "fc6",
    "fc2": "fc7",
    "predictions": "fc8",
}


@pytest.mark.slow
def test_vgg16_equals_keras(random_weights) -> None:
    network = build("vgg16")
    weights = random_weights(network)
    model = keras.applications.VGG16(weights=None, classifier_activation=None)
    for layer in model.layers:
        if layer.weights:
            name = KERAS_VGG16[layer.name]
            layer.set_weights([weights[f"{name}/kernel"], weights[f"{name}/bias"]])
    assert model.count_params() == network.parameters()
    x = images(network, 2)
    assert_close(forward(network.layers, weights, tf.constant(x)), model(x, training=False).numpy(), 1e-5)


def keras_layer(layer) -> keras.layers.Layer:
    """Return the same layer in Keras, for the kinds that alexnet-bn has."""
    match layer:
        case Conv():
            return keras.layers.Conv2D(
                layer.filters, layer.kernel_size, layer.strides, layer.padding, activation="relu", name=layer.name
            )
        case BatchNorm():
            return keras.layers.BatchNormalization(name=layer.name)
        case MaxPool():
            return keras.layers.MaxPooling2D(layer.pool_size, layer.strides, name=layer.name)
        case Dense(relu=relu):
            return keras.layers.Dense(layer.units, activation="relu" if relu else None, name=layer.name)
    raise TypeError(layer)


def keras_alexnet_bn(network: Network, weights) -> keras.Sequential:
    """Return alexnet-bn in Keras' own layers with the same weights; without dropout, to compare it in training mode."""
    layers = []
    for layer in network.layers:
        if isinstance(layer, Dense) and not any(isinstance(other, keras.layers.Flatten) for other in layers):
            layers.append(keras.layers.Flatten())
        if not isinstance(layer, Dropout):
            layers.append(keras_layer(layer))
    model = keras.Sequential([keras.Input(network.input_shape), *layers])
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([weights[name] for name in weights if name.startswith(f"{layer.name}/")])
    return model


def test_alexnet_bn_equals_keras_when_predicting(random_weights) -> None:
    network = build("alexnet-bn", {"num_classes": 10, "fc_units": 64})
    weights = random_weights(network)
    model = keras_alexnet_bn(network, weights)
    assert model.count_params() == network.parameters()
    x = images(network, 2)
    assert_close(forward(network.layers, weights, tf.constant(x)), model(x, training=False).numpy(), 1e-5)


def test_alexnet_bn_equals_keras_when_training(random_weights) -> None:
    network = build("alexnet-bn", {"num_classes": 10, "fc_units": 64})
    weights = random_weights(network)
    model = keras_alexnet_bn(network, weights)
    variables = {name: tf.Variable(value) for name, value in weights.items()}
    x = images(network, 4)
    y = forward(network.layers, variables, tf.constant(x), trained=network.weighted_layers())
    assert_close(y, model(x, training=True).numpy(), 1e-4)
    for i in range(1, 6):
        layer = model.get_layer(f"bn{i}")
        for name, expected in (("moving_mean", layer.moving_mean), ("moving_variance", layer.moving_variance)):
            moved = variables[f"bn{i}/{name}"].numpy()
            assert_close(moved, expected.numpy(), 1e-5)
            assert np.abs(moved - weights[f"bn{i}/{name}"]).max() > 1e-3


@pytest.mark.parametrize("input_size", [224, 163, 260])  # 6 × 6 as they are, 4 × 4 spread out, 7 × 7 averaged
def test_alexnet_owt_equals_torch(random_weights, input_size: int) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    network = build("alexnet-owt", {"input_size": input_size, "num_classes": 10, "fc_units": 64})
    weights = random_weights(network)
    # torchvision's models/alexnet.py, with its own numbers and not ours.
    model = nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.AdaptiveAvgPool2d((6, 6)), nn.Flatten()),
        *(nn.Linear(9216, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    owners = [module for module in model if hasattr(module, "weight")]
    x = images(network, 2)
    with torch.no_grad():
        for module, name in zip(owners, network.weighted_layers(), strict=True):
            kernel = weights[f"{name}/kernel"]
            if name == "fc6":  # torch flattens channel first
                kernel = kernel.reshape(6, 6, 256, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
            module.weight.copy_(torch.tensor(kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1)))
            module.bias.copy_(torch.tensor(weights[f"{name}/bias"]))
        expected = model(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
    assert_close(forward(network.layers, weights, tf.constant(x)), expected, 1e-5)
