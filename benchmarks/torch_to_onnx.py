"""A torch network as an ONNX file with ONNX's own LRN, which torch's exporter would write as many operators."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, save
from torch import nn

OPSET = 17


def write_onnx(path: Path, network: nn.Sequential, size: int) -> None:
    """Write `network`: from `images` (batch, 3, size, size) to `logits` (batch, classes), both float32."""
    nodes, tensors = [], []
    value = "images"
    for name, module in network.named_children():
        if isinstance(module, nn.Dropout):  # does nothing outside training
            continue
        weights = _weights(name, module)
        tensors += [numpy_helper.from_array(array, key) for key, array in weights.items()]
        nodes.append(_node(module, [value, *weights], name))
        value = name
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, size, size])]
    outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", None])]
    graph = helper.make_graph(nodes, "network", inputs, outputs, tensors)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8), path)


def _weights(name: str, module: nn.Module) -> dict[str, NDArray[np.float32]]:
    return {f"{name}.{weight}": value.detach().numpy() for weight, value in module.named_parameters()}


def _node(module: nn.Module, inputs: list[str], name: str) -> Any:
    match module:
        case nn.Conv2d():
            pads = [*module.padding, *module.padding]
            return helper.make_node("Conv", inputs, [name], strides=module.stride, pads=pads, group=module.groups)
        case nn.Linear():
            return helper.make_node("Gemm", inputs, [name], transB=1)
        case nn.LocalResponseNorm():
            options = {"size": module.size, "alpha": module.alpha, "beta": module.beta, "bias": module.k}
            return helper.make_node("LRN", inputs, [name], **options)
        case nn.MaxPool2d():
            kernel, stride = [module.kernel_size] * 2, [module.stride] * 2
            return helper.make_node("MaxPool", inputs, [name], kernel_shape=kernel, strides=stride)
        case nn.ReLU():
            return helper.make_node("Relu", inputs, [name])
        case nn.Flatten():
            return helper.make_node("Flatten", inputs, [name])
    raise TypeError(f"unknown module: {module}")
