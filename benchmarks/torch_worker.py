"""The worker for plain PyTorch and ONNX Runtime, written in the usual way, without tuning.

`compare.py` starts it in the environment where they are installed. `torch_worker.py train FILE` is a separate program:
the plain training loop, which passes every image through the whole network in every epoch.
"""

import json
import math
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from square import read_square
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from worker import milliseconds, serve

LOADERS = 2  # processes that decode images
MOMENTUM = 0.9


def read_network(prefix: str) -> tuple[nn.Sequential, dict[str, Any]]:
    """Return the network with the weights of `prefix`.npz, and its preprocessing."""
    description = json.loads(Path(prefix + ".json").read_text(encoding="utf-8"))
    weights = np.load(prefix + ".npz")
    modules: dict[str, nn.Module] = {}
    for layer in description["layers"]:
        for suffix, module in _modules(layer, weights).items():
            modules[layer["name"] + suffix] = module
    network = nn.Sequential()
    for name, module in modules.items():
        network.add_module(name, module)
    return network, description["preprocessing"]


def _modules(layer: dict[str, Any], weights: Any) -> dict[str, nn.Module]:
    """Return the modules of one layer by the suffix for the layer's name."""
    kernel, bias = (weights.get(f"{layer['name']}/{weight}") for weight in ("kernel", "bias"))
    match layer["kind"]:
        case "Conv":
            padding = 0 if layer["padding"] == "valid" else layer["padding"]
            module: nn.Module = nn.Conv2d(
                layer["input_shape"][2],
                layer["filters"],
                layer["kernel_size"],
                layer["strides"],
                padding,
                groups=layer["groups"],
            )
            _assign(module, kernel.transpose(3, 2, 0, 1), bias)
            return {"": module, "_relu": nn.ReLU()}
        case "LocalResponseNorm":
            return {"": nn.LocalResponseNorm(layer["size"], layer["alpha"], layer["beta"], layer["k"])}
        case "MaxPool":
            return {"": nn.MaxPool2d(layer["pool_size"], layer["strides"])}
        case "Dense":
            shape = layer["input_shape"]
            module = nn.Linear(math.prod(shape), layer["units"])
            if len(shape) == 3:  # rows are ordered height, width, channel; torch flattens channels first
                kernel = kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(math.prod(shape), -1)
            _assign(module, kernel.T, bias)
            flatten = {"_flatten": nn.Flatten()} if len(shape) == 3 else {}
            return {**flatten, "": module, **({"_relu": nn.ReLU()} if layer["relu"] else {})}
        case "Dropout":
            return {"": nn.Dropout(layer["rate"])}
        case kind:
            raise TypeError(f"unknown layer: {kind}")


def _assign(module: Any, kernel: Any, bias: Any) -> None:
    module.weight = nn.Parameter(torch.tensor(np.ascontiguousarray(kernel)))
    module.bias = nn.Parameter(torch.tensor(bias))


@cache
def _network(prefix: str) -> tuple[nn.Sequential, dict[str, Any]]:
    return read_network(prefix)


@cache
def _images(size: int, batch_size: int) -> torch.Tensor:
    return 50 * torch.randn(batch_size, 3, size, size)


def forward(prefix: str, batch_size: int, precision: str) -> float:
    """Return the milliseconds for one batch; bfloat16 is autocast with channels last, which is its faster form."""
    network, preprocessing = _network(prefix)
    images = _images(preprocessing["size"], batch_size)
    if precision == "bfloat16":
        images = images.to(memory_format=torch.channels_last)
    network.eval()

    def run() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            network(images)

    return milliseconds(run)


def write(prefix: str) -> None:
    """Write the network as torch saves it, and as ONNX."""
    from torch_to_onnx import write_onnx

    network, preprocessing = _network(prefix)
    torch.save(network.eval(), prefix + ".pth")
    write_onnx(Path(prefix + ".onnx"), network, preprocessing["size"])
    images = _images(preprocessing["size"], 2)
    with torch.inference_mode():
        expected = network(images).numpy()
    difference = np.abs(_session(prefix).run(None, {"images": images.numpy()})[0] - expected).max()
    assert difference < 1e-3 * np.abs(expected).max(), f"the ONNX file computes something else: {difference}"


@cache
def _session(prefix: str) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(prefix + ".onnx", providers=["CPUExecutionProvider"])


def onnx(prefix: str, batch_size: int) -> float:
    """Return the milliseconds for one batch in ONNX Runtime."""
    session = _session(prefix)
    images = _images(_network(prefix)[1]["size"], batch_size).numpy()
    return milliseconds(lambda: session.run(None, {"images": images}))


def step(prefix: str, batch_size: int) -> float:
    """Return the milliseconds for a full training step: forward, gradients of all weights, update."""
    network, preprocessing = _network(prefix)
    optimizer = _optimizer(prefix)
    images, labels = _images(preprocessing["size"], batch_size), torch.zeros(batch_size, dtype=torch.long)
    network.train()

    def run() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return milliseconds(run)


@cache
def _optimizer(prefix: str) -> torch.optim.Optimizer:
    return torch.optim.SGD(_network(prefix)[0].parameters(), lr=1e-6, momentum=MOMENTUM)


class ImageFiles(Dataset[tuple[torch.Tensor, int]]):
    """Decoded files with their labels."""

    def __init__(self, files: list[tuple[str, int]], preprocessing: dict[str, Any]) -> None:
        self._files, self._preprocessing = files, preprocessing

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self._files[index]
        return torch.from_numpy(read_square(path, self._preprocessing)), label


def _loader(files: list[tuple[str, int]], preprocessing: dict[str, Any], batch_size: int, **options: Any) -> Any:
    return DataLoader(ImageFiles(files, preprocessing), batch_size, num_workers=LOADERS, **options)


def score(prefix: str, paths: list[str], batch_size: int) -> float:
    """Return the seconds to classify files, from their bytes to the classes; the model is loaded already."""
    network, preprocessing = _network(prefix)
    network.eval()
    start = time.perf_counter()
    with torch.inference_mode():
        for images, _ in _loader([(path, 0) for path in paths], preprocessing, batch_size):
            torch.softmax(network(images), 1).topk(min(5, network[-1].out_features))
    return time.perf_counter() - start


def train(job: dict[str, Any]) -> float:
    """Train a fresh last layer, with the others frozen, and return the validation accuracy after the last epoch."""
    torch.manual_seed(0)
    network, preprocessing = read_network(job["prefix"])
    network.eval().requires_grad_(False)
    network[-1] = nn.Linear(network[-1].in_features, job["classes"])
    nn.init.normal_(network[-1].weight, std=0.01)
    nn.init.zeros_(network[-1].bias)
    optimizer = torch.optim.SGD(network[-1].parameters(), job["learning_rate"], MOMENTUM)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, job["epochs"])
    train_loader = _loader(job["train"], preprocessing, job["batch_size"], shuffle=True)
    val_loader = _loader(job["val"], preprocessing, job["batch_size"])
    for _ in range(job["epochs"]):
        network[-2].train()  # the dropout before the trained layer
        for images, labels in train_loader:
            optimizer.zero_grad()
            functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
        schedule.step()
        network.eval()
        with torch.inference_mode():
            correct = sum(int((network(images).argmax(1) == labels).sum()) for images, labels in val_loader)
    return correct / len(job["val"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        job = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
        Path(job["answer"]).write_text(str(train(job)), encoding="utf-8")
    else:
        serve({function.__name__: function for function in (write, forward, onnx, step, score)})
