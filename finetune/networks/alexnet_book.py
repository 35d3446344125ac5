"""AlexNet's single tower as in TensorFlow's benchmark and the books that print it.

Layer sizes from TensorFlow's tutorials/image/alexnet/alexnet_benchmark.py, after Krizhevsky 2014; local response
normalisation with the values that the books add: tf.nn.lrn(x, 4, bias=1.0, alpha=0.001 / 9.0, beta=0.75).
"""

from finetune.data.preprocessing import CAFFE_MEAN_BGR, Preprocessing
from finetune.networks.layers import Conv, Dense, Dropout, Layer, LocalResponseNorm, MaxPool
from finetune.networks.network import Network


def alexnet_book(num_classes: int = 0, input_size: int = 224, fc_units: int = 4096) -> Network:
    """Return the benchmark's tower, which ends in pool5: 2,469,696 parameters.

    With `num_classes` above 0 the classifier fc6, fc7 and fc8 follows, `fc_units` wide: 61,100,840 parameters at
    1,000 classes. Input: `input_size`² pixels BGR, 0 to 255 minus the mean: no weights were published, so the
    preprocessing is BVLC's. Output: pool5's 6 × 6 × 256 values, or `num_classes` logits. The comments give the
    shapes at 224 pixels.
    """
    tower: tuple[Layer, ...] = (
        Conv("conv1", 64, 11, strides=4, padding="same"),  # 56 × 56 × 64
        LocalResponseNorm("norm1", size=9, alpha=0.001),  # depth radius 4 is 9 channels; alpha is divided by them
        MaxPool("pool1", 3, 2),  # 27 × 27 × 64
        Conv("conv2", 192, 5, padding="same"),  # 27 × 27 × 192
        LocalResponseNorm("norm2", size=9, alpha=0.001),
        MaxPool("pool2", 3, 2),  # 13 × 13 × 192
        Conv("conv3", 384, 3, padding="same"),  # 13 × 13 × 384
        Conv("conv4", 256, 3, padding="same"),  # 13 × 13 × 256
        Conv("conv5", 256, 3, padding="same"),
        MaxPool("pool5", 3, 2),  # 6 × 6 × 256 = 9,216
    )
    classifier: tuple[Layer, ...] = (
        Dense("fc6", fc_units),
        Dropout("drop6", 0.5),
        Dense("fc7", fc_units),
        Dropout("drop7", 0.5),
        Dense("fc8", num_classes, relu=False),
    )
    return Network(
        name="alexnet-book",
        options={"num_classes": num_classes, "input_size": input_size, "fc_units": fc_units},
        preprocessing=Preprocessing(size=input_size, mean=CAFFE_MEAN_BGR, resize_to=round(input_size * 256 / 224)),
        layers=tower + classifier if num_classes else tower,
    )
