"""`Compiled` computes the same for batches of any length, in either precision."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from finetune.data.preprocessing import Preprocessing
from finetune.networks import build
from finetune.networks.compiled import BATCH_SIZE, Compiled
from finetune.networks.forward import forward
from finetune.networks.layers import Dense
from finetune.networks.network import Network

RNG = np.random.default_rng(2)


def pixels(network: Network, count: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, *network.input_shape), np.uint8)


@pytest.mark.parametrize("name", ["alexnet", "caffenet", "alexnet-bn"])
@pytest.mark.parametrize("count", [1, BATCH_SIZE, BATCH_SIZE + 3])
def test_a_batch_of_any_length(name: str, count: int, random_weights) -> None:
    network = build(name, {"num_classes": 5, "input_size": 67, "fc_units": 8})
    weights = random_weights(network)
    compiled = Compiled(network.layers, weights, network.preprocessing)
    batch = pixels(network, count)
    expected = forward(network.layers, weights, tf.constant(network.preprocessing.normalize(batch))).numpy()
    output = compiled(batch)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_short_batch_is_padded_to_the_next_size(random_weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each size is compiled once; a batch larger than all of them is computed as it is."""
    network = build("alexnet", {"num_classes": 5, "input_size": 67, "fc_units": 8})
    weights = random_weights(network)
    whole = Compiled(network.layers, weights, network.preprocessing)
    padded = Compiled(network.layers, weights, network.preprocessing, sizes=(1, 4))
    computed = []
    compute = padded._compute
    monkeypatch.setitem(padded.__dict__, "_compute", lambda pixels: computed.append(len(pixels)) or compute(pixels))
    for count in (1, 2, 4, 5):
        batch = pixels(network, count)
        np.testing.assert_allclose(padded(batch), whole(batch), rtol=0, atol=1e-5)
    assert computed == [1, 4, 4, 5]


def test_bfloat16_is_close(random_weights) -> None:
    network = build("alexnet", {"num_classes": 5, "input_size": 67, "fc_units": 8})
    weights = random_weights(network)
    batch = pixels(network, BATCH_SIZE)
    exact = Compiled(network.layers, weights, network.preprocessing)(batch)
    rough = Compiled(network.layers, weights, network.preprocessing, "bfloat16")(batch)
    assert 1e-5 < np.abs(rough - exact).max() / np.abs(exact).max() < 0.05


@pytest.mark.parametrize(("relu", "expected"), [(True, 1.0), (False, 1 + 2**-10)])
def test_logits_stay_in_float32(relu: bool, expected: float) -> None:
    """1 + 2^-10 is a number of float32 and rounds to 1 in bfloat16; a layer without ReLU gives the logits."""
    preprocessing = Preprocessing(size=1, mean=(0,), std=(1,), channel_order="GRAY", resize_to=1)
    weights = {"fc/kernel": np.float32([[1 + 2**-10]]), "fc/bias": np.float32([0])}
    compiled = Compiled([Dense("fc", 1, relu=relu)], weights, preprocessing, "bfloat16")
    assert compiled(np.ones((1, 1, 1, 1), np.uint8)).item() == expected


@pytest.mark.slow
def test_bfloat16_names_the_same_class_for_real_photos(shared: Path) -> None:
    """The starter predicts the same class for at least 99 % of 400 photos."""
    from finetune.data.images import read_input
    from finetune.model import load_model

    model = load_model(Path(__file__).parents[2] / "weights" / "starter.safetensors")
    paths = sorted((shared / "data").rglob("*.jp*g"))
    assert len(paths) >= 395
    batch = np.stack([read_input(path, model.network.preprocessing) for path in paths])
    exact, rough = (
        np.concatenate([compiled(batch[i : i + BATCH_SIZE]) for i in range(0, len(batch), BATCH_SIZE)])
        for compiled in (
            Compiled(model.network.layers, model.weights, model.network.preprocessing, precision)
            for precision in ("float32", "bfloat16")
        )
    )
    assert (exact.argmax(axis=1) == rough.argmax(axis=1)).mean() >= 0.99
