"""AlexNet as the Berkeley Vision and Learning Center trained it for Caffe.

Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012; layer
sizes from BVLC's models/bvlc_alexnet/deploy.prototxt. Here normalisation comes before pooling.
"""

from finetune.data.preprocessing import CAFFE_MEAN_BGR, Preprocessing
from finetune.networks.layers import Conv, Dense, Dropout, LocalResponseNorm, MaxPool
from finetune.networks.network import Network


def alexnet(num_classes: int = 1000, input_size: int = 227, fc_units: int = 4096) -> Network:
    """Return BVLC's AlexNet: 60,965,224 parameters at 1,000 classes.

    Input: `input_size`² pixels BGR, 0 to 255 minus the mean. Output: `num_classes` logits. `fc_units` is the width
    of fc6 and fc7. The comments give the shapes at 227 pixels.
    """
    return Network(
        name="alexnet",
        options={"num_classes": num_classes, "input_size": input_size, "fc_units": fc_units},
        preprocessing=Preprocessing(size=input_size, mean=CAFFE_MEAN_BGR),
        layers=(
            Conv("conv1", 96, 11, strides=4),  # 55 × 55 × 96
            LocalResponseNorm("norm1"),
            MaxPool("pool1", 3, 2),  # 27 × 27 × 96
            Conv("conv2", 256, 5, padding=2, groups=2),  # 27 × 27 × 256
            LocalResponseNorm("norm2"),
            MaxPool("pool2", 3, 2),  # 13 × 13 × 256
            Conv("conv3", 384, 3, padding=1),  # 13 × 13 × 384
            Conv("conv4", 384, 3, padding=1, groups=2),
            Conv("conv5", 256, 3, padding=1, groups=2),  # 13 × 13 × 256
            MaxPool("pool5", 3, 2),  # 6 × 6 × 256 = 9,216
            Dense("fc6", fc_units),
            Dropout("drop6", 0.5),
            Dense("fc7", fc_units),
            Dropout("drop7", 0.5),
            Dense("fc8", num_classes, relu=False),
        ),
    )
