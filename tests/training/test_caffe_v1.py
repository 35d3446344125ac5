"""Nets in Caffe's format before October 2014 are read as those of today."""

from pathlib import Path

import pytest
from support.caffe_prototxt import net_text

from finetune.errors import UsageError
from finetune.networks import build
from finetune.training.caffe_net import CaffeNet, read_net

TEXT = net_text(build("caffenet", {"num_classes": 20}))
OLD_NAMES = {
    "layer {": "layers {",
    '"ImageData"': "IMAGE_DATA", '"Data"': "DATA", '"Convolution"': "CONVOLUTION", '"InnerProduct"': "INNER_PRODUCT",
    '"ReLU"': "RELU", '"Pooling"': "POOLING", '"LRN"': "LRN", '"Dropout"': "DROPOUT", '"Accuracy"': "ACCURACY",
    '"SoftmaxWithLoss"': "SOFTMAX_LOSS",
    "param { lr_mult: 1 decay_mult: 1 }\n  param { lr_mult: 2 decay_mult: 0 }":
        "blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0",
    "param { lr_mult: 10 decay_mult: 1 }\n  param { lr_mult: 20 decay_mult: 0 }":
        "blobs_lr: 10 blobs_lr: 20 weight_decay: 1 weight_decay: 0",
}  # fmt: skip


def read(folder: Path, text: str) -> CaffeNet:
    path = folder / "train_val.prototxt"
    path.write_text(text)
    return read_net(path)


def old_text() -> str:
    text = TEXT
    for new, old in OLD_NAMES.items():
        assert new in text
        text = text.replace(new, old)
    return text


def factors(net: CaffeNet) -> dict[str, list[tuple[float, float]]]:
    return {name: [(one.rate, one.decay) for one in weights.values()] for name, weights in net.weights.items()}


def test_the_same_net(tmp_path: Path) -> None:
    new, old = read(tmp_path, TEXT), read(tmp_path, old_text())
    assert (old.layers, old.transform, old.batch_size) == (new.layers, new.transform, new.batch_size)
    assert factors(old) == factors(new)
    assert factors(old)["fc8"] == [(10, 1), (20, 0)]
    filler = old.weights["fc8"]["kernel"].filler
    assert (filler.number("std"), filler.place) == (0.01, new.weights["fc8"]["kernel"].filler.place)


def test_only_one_of_the_factors(tmp_path: Path) -> None:
    text = old_text().replace("blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0", "weight_decay: 3", 1)
    assert factors(read(tmp_path, text))["conv1"] == [(1, 3), (1, 1)]


def test_how_images_enter_was_said_with_the_data(tmp_path: Path) -> None:
    transform = "transform_param { mirror: true crop_size: 227 mean_value: 104 mean_value: 117 mean_value: 123 }"
    text = old_text().replace(transform, "")
    text = text.replace("batch_size: 4", 'batch_size: 4 mirror: true crop_size: 227 mean_file: "m" scale: 0.5')
    found = read(tmp_path, text).transform
    assert (found.mirror, found.crop, found.mean_file, found.scale) == (True, 227, "m", 0.5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type: LRN", "type: ELTWISE",
         ", layer norm1: expected Convolution, ReLU, Pooling, LRN, InnerProduct or Dropout, but its type is ELTWISE, "
         "which no network here has; train with Caffe"),
        ("type: CONVOLUTION", "type: CONVOLUTION layer { }",
         ", layer conv1: layer cannot be honoured; remove it, or train with Caffe"),
        ("type: CONVOLUTION", "type: CONVOLUTION param: 'shared'",
         ", layer conv1: param: expected { … }, not 'shared'"),
        ("blobs_lr: 1", "blobs_lr: 'a'", ", layer conv1, param: lr_mult: expected a number, not 'a'"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, old_text().replace(old, new, 1))
    assert str(error.value) == f"train_val.prototxt{message}"
