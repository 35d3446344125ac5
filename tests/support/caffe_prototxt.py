"""Caffe's prototxt files, written for a network of this package: a solver and its net, with single texts replaced."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune.networks import Network
from finetune.networks.layers import Conv, Dense, Dropout, Layer, LocalResponseNorm, MaxPool

SOLVER: dict[str, Any] = {  # in the proportions of models/finetune_flickr_style
    "net": '"train_val.prototxt"', "test_iter": 100, "test_interval": 1000, "base_lr": 0.001, "lr_policy": '"step"',
    "gamma": 0.1, "stepsize": 4, "display": 20, "max_iter": 10, "momentum": 0.9, "weight_decay": 0.0005,
    "snapshot": 10000, "snapshot_prefix": '"models/style"', "solver_mode": "GPU",
}  # fmt: skip

DATA = """
layer {
  name: "data" type: "ImageData" top: "data" top: "label"
  include { phase: TRAIN }
  transform_param { mirror: true crop_size: SIZE mean_value: 104 mean_value: 117 mean_value: 123 }
  image_data_param { source: "train.txt" batch_size: 4 }
}
layer {
  name: "data" type: "Data" top: "data" top: "label"
  include { phase: TEST }
  data_param { source: "test_lmdb" batch_size: 50 }
}
"""
END = """
layer { name: "accuracy" type: "Accuracy" bottom: "TOP" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "TOP" bottom: "label" top: "loss" }
"""


def solver_text(**changes: Any) -> str:
    """Return the text of a solver with fields changed; None removes one, a list repeats it."""
    lines = []
    for key, value in {**SOLVER, **changes}.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        lines += [f"{key}: {one}" for one in values]
    return "\n".join([*lines, "# the end"])


def net_text(
    network: Network,
    names: Mapping[str, str] | None = None,
    rates: Mapping[str, tuple[float, float]] | None = None,
    dropout: bool = True,
) -> str:
    """Return the text of the net for a network, with biases at twice the rate of kernels, and without decay.

    `names`: layer -> the net's name for it. `rates`: layer -> other `lr_mult` of kernel and bias; fc8 has 10 and 20.
    """
    below, text = "data", DATA.replace("SIZE", str(network.preprocessing.size))
    for layer in network.layers:
        if isinstance(layer, Dropout) and not dropout:
            continue
        name = (names or {}).get(layer.name, layer.name)
        kernel, bias = (rates or {}).get(layer.name, (10, 20) if layer.name == "fc8" else (1, 2))
        top = below if isinstance(layer, Dropout) else name
        params = (
            f"  param {{ lr_mult: {kernel} decay_mult: 1 }}\n  param {{ lr_mult: {bias} decay_mult: 0 }}\n"
            if isinstance(layer, Conv | Dense)
            else ""
        )
        text += f'layer {{\n  name: "{name}" {_settings(layer)}\n  bottom: "{below}" top: "{top}"\n{params}}}\n'
        if isinstance(layer, Conv | Dense) and layer.relu:
            text += f'layer {{ name: "relu_{name}" type: "ReLU" bottom: "{top}" top: "{top}" }}\n'
        below = top
    return text + END.replace("TOP", below)


FILLERS = 'weight_filler { type: "gaussian" std: 0.01 } bias_filler { type: "constant" value: 1 }'


def _settings(layer: Layer) -> str:
    match layer:
        case Conv():
            pad = layer.padding if isinstance(layer.padding, int) else 0
            window = f"kernel_size: {layer.kernel_size} stride: {layer.strides} pad: {pad} group: {layer.groups}"
            return f'type: "Convolution" convolution_param {{ num_output: {layer.filters} {window} {FILLERS} }}'
        case Dense():
            return f'type: "InnerProduct" inner_product_param {{ num_output: {layer.units} {FILLERS} }}'
        case MaxPool():
            window = f"kernel_size: {layer.pool_size} stride: {layer.strides}"
            return f'type: "Pooling" pooling_param {{ pool: MAX {window} }}'
        case LocalResponseNorm():
            return f'type: "LRN" lrn_param {{ local_size: {layer.size} alpha: {layer.alpha} beta: {layer.beta} }}'
        case Dropout():
            return f'type: "Dropout" dropout_param {{ dropout_ratio: {layer.rate} }}'
    raise TypeError(f"unknown layer: {layer!r}")


def write_solver(folder: Path, text: str, /, **changes: Any) -> Path:
    """Write a solver, with fields changed as in `solver_text`, and the text of its net; return the solver's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train_val.prototxt").write_text(text)
    path = folder / "solver.prototxt"
    path.write_text(solver_text(**changes))
    return path
