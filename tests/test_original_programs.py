"""The same numbers as the program that wrote a weights file, read from that file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune.model import Model, load_model
from finetune.networks.forward import forward

RNG = np.random.default_rng(5)


def agree(model: Model, x: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float = 1e-5) -> None:
    """Compare the network's output for images (batch, height, width, channels) with the original's."""
    output = np.asarray(forward(model.network.layers, model.weights, x))
    assert np.isfinite(expected).all()
    assert np.abs(expected).max() > 0
    assert np.abs(output - expected).max() <= tolerance * np.abs(expected).max()


def images(model: Model, count: int = 2) -> NDArray[np.float32]:
    return RNG.normal(0, 50, (count, *model.network.input_shape)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["vgg16.h5", "vgg16.weights.h5", "vgg16.keras"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
def test_vgg16_that_keras_wrote(tmp_path: Path, file: str) -> None:
    import keras

    original = keras.applications.VGG16(weights=None, classifier_activation=None)
    (original.save_weights if ".weights." in file else original.save)(tmp_path / file)
    model = load_model(tmp_path / file)
    assert model.network.name == "vgg16"
    x = images(model)
    agree(model, x, original(x, training=False).numpy())


def onnx_session(content: bytes) -> Any:
    runtime = pytest.importorskip("onnxruntime")
    return runtime.InferenceSession(content, providers=["CPUExecutionProvider"])


def test_the_alexnet_that_onnx_ships() -> None:
    """Its layers have the names of the ONNX zoo; at 227 instead of 224 pixels its padding has no effect."""
    onnx = pytest.importorskip("onnx")
    from onnx.backend.test import data

    path = Path(data.__path__[0], "light", "light_bvlc_alexnet.onnx")
    model = load_model(path)
    assert model.network.name == "alexnet"
    assert len(model.class_names) == 1000
    graph = onnx.load(path)
    for side in (2, 3):
        graph.graph.input[0].type.tensor_type.shape.dim[side].dim_value = 227
    del graph.graph.value_info[:]
    session = onnx_session(graph.SerializeToString())
    x = images(model, count=1)
    (expected,) = session.run(None, {session.get_inputs()[0].name: x.transpose(0, 3, 1, 2)})
    logits = np.asarray(forward(model.network.layers, model.weights, x)).astype(np.float64)
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(probabilities, expected.reshape(1, -1), atol=1e-6)


def torch_alexnet(torch: Any) -> Any:
    """Return BVLC's AlexNet in torch, with narrow fully connected layers."""
    nn = torch.nn
    return nn.Sequential(
        *(nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)),
        *(nn.MaxPool2d(3, 2), nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()),
        *(nn.Linear(9216, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
    ).eval()


@pytest.mark.filterwarnings("ignore")  # of torch's old exporter, the one that needs no other package
def test_an_alexnet_that_torch_exported(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    original = torch_alexnet(torch)
    path = tmp_path / "alexnet.onnx"
    torch.onnx.export(original, torch.zeros(2, 3, 227, 227), path, dynamo=False)
    model = load_model(path, "alexnet")  # torch exports LRN as several operators, so it might be caffenet
    x = images(model)
    with torch.no_grad():
        agree(model, x, original(torch.tensor(x.transpose(0, 3, 1, 2))).numpy())
    session = onnx_session(path.read_bytes())
    (expected,) = session.run(None, {session.get_inputs()[0].name: x.transpose(0, 3, 1, 2)})
    agree(model, x, expected)


@pytest.mark.parametrize("as_zip", [True, False])
def test_an_alexnet_owt_that_torch_saved(tmp_path: Path, as_zip: bool) -> None:
    """With torchvision's module names, in torch's new and old file format."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    sizes = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
    features: list[Any] = []
    for number, (inputs, outputs, kernel, stride, padding) in enumerate(sizes):
        features += [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU()]
        features += [nn.MaxPool2d(3, 2)] if number in (0, 1, 4) else []
    original = nn.Sequential()
    original.add_module("features", nn.Sequential(*features))
    original.add_module("avgpool", nn.AdaptiveAvgPool2d((6, 6)))
    original.add_module("flatten", nn.Flatten())
    head = (nn.Dropout(), nn.Linear(9216, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    original.add_module("classifier", nn.Sequential(*head))
    original.eval()
    torch.save(original.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=as_zip)
    model = load_model(tmp_path / "a.pth")
    assert model.network.name == "alexnet-owt"
    x = images(model)
    with torch.no_grad():
        agree(model, x, original(torch.tensor(x.transpose(0, 3, 1, 2))).numpy())
