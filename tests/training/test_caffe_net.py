"""train_val.prototxt: what is read of a net, and every part that cannot be honoured, by message."""

from pathlib import Path

import pytest
from support.caffe_prototxt import net_text

from finetune.errors import UsageError
from finetune.networks import build
from finetune.networks.layers import Conv, Dense, Dropout, LocalResponseNorm, MaxPool
from finetune.training.caffe_net import CaffeNet, Transform, read_net

TEXT = net_text(build("caffenet", {"num_classes": 20}), names={"fc8": "fc8_style"})


def read(folder: Path, text: str = TEXT, **replaced: str) -> CaffeNet:
    """Read a net whose text has one part replaced by another: `replaced` are the two, as old and new."""
    if replaced:
        assert replaced["old"] in text
        text = text.replace(replaced["old"], replaced["new"], 1)
    path = folder / "train_val.prototxt"
    path.write_text(text)
    return read_net(path)


def test_what_is_read(tmp_path: Path) -> None:
    net = read(tmp_path)
    assert net.batch_size == 4
    assert net.transform == Transform((104.0, 117.0, 123.0), "", 1.0, 227, True, 0)
    assert net.layers[:4] == (
        Conv("conv1", 96, 11, 4, 0, 1, relu=True),
        MaxPool("pool1", 3, 2),
        LocalResponseNorm("norm1", 5, 1e-4, 0.75, 1.0),
        Conv("conv2", 256, 5, 1, 2, 2, relu=True),
    )
    assert net.layers[-2:] == (Dropout("drop7", 0.5), Dense("fc8_style", 20, relu=False))
    kernel, bias = net.weights["conv1"].values()
    assert (kernel.rate, kernel.decay, bias.rate, bias.decay) == (1, 1, 2, 0)
    assert [weight.rate for weight in net.weights["fc8_style"].values()] == [10, 20]
    assert kernel.filler.number("std") == 0.01
    assert list(net.weights) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8_style"]


def test_defaults_are_those_of_caffe(tmp_path: Path) -> None:
    """As in caffe.proto: among others lr_mult and decay_mult 1, stride 1, one group, LRN with alpha 1."""
    net = read(
        tmp_path,
        """
        layer { name: "data" type: "Data" top: "data" data_param { batch_size: 7 } }
        layer { name: "a" type: "Convolution" bottom: "data" top: "a"
                convolution_param { num_output: 3 kernel_size: 5 } }
        layer { name: "p" type: "Pooling" bottom: "a" top: "p" pooling_param { kernel_size: 2 } }
        layer { name: "n" type: "LRN" bottom: "p" top: "n" }
        layer { name: "d" type: "Dropout" bottom: "n" top: "n" }
        layer { name: "b" type: "InnerProduct" bottom: "n" top: "b" param { lr_mult: 3 }
                inner_product_param { num_output: 2 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "b" bottom: "label" }
        """,
    )
    assert net.layers == (
        Conv("a", 3, 5, 1, 0, 1, relu=False),
        MaxPool("p", 2, 1),
        LocalResponseNorm("n", 5, 1.0, 0.75, 1.0),
        Dropout("d", 0.5),
        Dense("b", 2, relu=False),
    )
    assert net.transform == Transform((), "", 1.0, 0, False, 0)
    assert net.batch_size == 7
    assert [weight[:2] for weight in net.weights["a"].values()] == [(1, 1), (1, 1)]
    assert [weight[:2] for weight in net.weights["b"].values()] == [(3, 1), (1, 1)], "decay of biases too, unless 0"


def test_phases(tmp_path: Path) -> None:
    """What the phase TEST alone includes, or TRAIN excludes, is not part of the net."""
    extra = 'layer { name: "x" type: "Python" bottom: "y" top: "z" exclude { phase: TRAIN } }\n'
    for rule in ("exclude { phase: TRAIN }", "phase: TEST", "include { phase: TEST }"):
        text = TEXT + extra.replace("exclude { phase: TRAIN }", rule)
        assert read(tmp_path, text).layers == read(tmp_path).layers


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layer {", "input: 'data' layer {", ": input cannot be honoured; remove it, or train with Caffe"),
        ('type: "ImageData"', 'type: "HDF5Data"',
         ": expected a layer of type Data or ImageData first and one of type SoftmaxWithLoss last, but found HDF5Data "
         "and SoftmaxWithLoss; train with Caffe"),
        ('"SoftmaxWithLoss"', '"EuclideanLoss"',
         ": expected a layer of type Data or ImageData first and one of type SoftmaxWithLoss last, but found ImageData "
         "and EuclideanLoss; train with Caffe"),
        ("phase: TRAIN", "phase: TRAIN stage: 'a'",
         ", layer data, include: stage cannot be honoured; remove it, or train with Caffe"),
        ('bottom: "pool1"', 'bottom: "conv1"',
         ", layer norm1: expected its bottom to be pool1, so that all layers are one chain; train with Caffe"),
        ("mirror: true", "mirror: true force_gray: true",
         ", layer data, transform_param: force_gray cannot be honoured; remove it, or train with Caffe"),
        ("mean_value: 104", "",
         ", layer data, transform_param: expected mean_value once or three times, or mean_file, but found 2 values; "
         "keep one of them"),
        ("mean_value: 104", "mean_value: 104 mean_file: 'm'",
         ", layer data, transform_param: expected mean_value once or three times, or mean_file, but found 3 values and "
         "a file; keep one of them"),
        ("mirror: true", "mirror: true scale: 0", ", layer data: expected batch_size and scale above 0, not 4 and 0"),
        ("batch_size: 4", "batch_size: 0", ", layer data: expected batch_size and scale above 0, not 0 and 1"),
        ("batch_size: 4", "batch_size: 4 new_height: 256",
         ", layer data, image_data_param: expected new_height and new_width to be equal, not 256 and 0"),
        ("batch_size: 4", "batch_size: 4 new_height: 226 new_width: 226",
         ", layer data, image_data_param: expected new_height of 227 or more, the crop_size, not 226"),
        ("batch_size: 4", "batch_size: 4 is_color: false",
         ", layer data, image_data_param: expected images in colour, not is_color: false; train with Caffe"),
        ("batch_size: 4", "batch_size: 4 mirror: true",
         ", layer data, image_data_param: mirror cannot be honoured; remove it, or train with Caffe"),
        ("kernel_size: 11", "kernel_h: 11 kernel_w: 9",
         ", layer conv1, convolution_param: kernel_h cannot be honoured; remove it, or train with Caffe"),
        ("num_output: 96", "",
         ", layer conv1, convolution_param: num_output is missing; expected num_output with a number"),
        ("pool: MAX", "pool: AVE", ", layer pool1, pooling_param: expected pool: MAX, not AVE; train with Caffe"),
        ("pool: MAX", "pool: MAX pad: 1",
         ", layer pool1, pooling_param: pad cannot be honoured; remove it, or train with Caffe"),
        ("local_size: 5", "norm_region: WITHIN_CHANNEL",
         ", layer norm1, lrn_param: norm_region cannot be honoured; remove it, or train with Caffe"),
        ('type: "LRN" lrn_param', 'type: "BatchNorm" batch_norm_param',
         ", layer norm1: expected Convolution, ReLU, Pooling, LRN, InnerProduct or Dropout, but its type is BatchNorm, "
         "which no network here has; train with Caffe"),
        ('type: "ReLU" bottom: "conv1" top: "conv1"',
         'type: "ReLU" bottom: "conv1" top: "conv1" relu_param { negative_slope: 0.1 }',
         ", layer relu_conv1: relu_param cannot be honoured; remove it, or train with Caffe"),
        ('"LRN" lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }', '"ReLU"',
         ", layer norm1: expected a ReLU after a Convolution or an InnerProduct only; train with Caffe"),
        ("lr_mult: 1 decay_mult: 1", "lr_mult: 1 name: 'shared'",
         ", layer conv1, param: name cannot be honoured; remove it, or train with Caffe"),
        ("param { lr_mult: 1 decay_mult: 1 }", "param { } param { }",
         ", layer conv1: expected param for weights and biases, but it is given 3 times"),
        ("lr_mult: 1 decay_mult: 1", "lr_mult: -1",
         ", layer conv1, param: expected lr_mult and decay_mult of 0 or more; correct them"),
        ('name: "conv2"', 'name: "conv1"', ": two layers have the same name; rename one"),
        ('type: "SoftmaxWithLoss"', 'type: "SoftmaxWithLoss" loss_weight: 2',
         ", layer loss: loss_weight cannot be honoured; remove it, or train with Caffe"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, old=old, new=new)
    assert str(error.value) == f"train_val.prototxt{message}"


def test_a_net_without_layers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="but found no layers; train with Caffe"):
        read(tmp_path, "name: 'empty'")
