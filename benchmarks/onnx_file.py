"""The network of the other side as an ONNX file with ONNX's own LRN, which torch's exporter would spell out."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, save
from torch import nn

OPSET = 17


def write_onnx(path: Path, network: nn.Sequential, size: int) -> None:
    """Write `network`: from `images` (batch, 3, size, size) to `logits` (batch, classes), both float32."""
    nodes, tensors = [], []
    value = "images"

    def weights(name: str, module: nn.Conv2d | nn.Linear) -> list[str]:
        arrays: dict[str, NDArray[np.float32]] = {
            f"{name}.weight": module.weight.detach().numpy(),
            f"{name}.bias": module.bias.detach().numpy(),
        }
        tensors.extend(numpy_helper.from_array(array, key) for key, array in arrays.items())
        return list(arrays)

    for name, module in network.named_children():
        match module:
            case nn.Conv2d():
                node = helper.make_node(
                    "Conv",
                    [value, *weights(name, module)],
                    [name],
                    strides=module.stride,
                    pads=[*module.padding, *module.padding],
                    group=module.groups,
                )
            case nn.Linear():
                node = helper.make_node("Gemm", [value, *weights(name, module)], [name], transB=1)
            case nn.LocalResponseNorm():
                node = helper.make_node(
                    "LRN", [value], [name], size=module.size, alpha=module.alpha, beta=module.beta, bias=module.k
                )
            case nn.MaxPool2d():
                side, stride = module.kernel_size, module.stride
                node = helper.make_node("MaxPool", [value], [name], kernel_shape=[side] * 2, strides=[stride] * 2)
            case nn.ReLU():
                node = helper.make_node("Relu", [value], [name])
            case nn.Flatten():
                node = helper.make_node("Flatten", [value], [name])
            case nn.Dropout():
                continue
            case _:
                raise TypeError(f"no ONNX node is known for {module}")
        nodes.append(node)
        value = name
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, size, size])]
    outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", None])]
    graph = helper.make_graph(nodes, "network", inputs, outputs, tensors)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8), path)
