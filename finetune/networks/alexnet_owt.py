"""AlexNet in a single tower, as in torchvision.

Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014; layer sizes and dropout as in
torchvision's models/alexnet.py. No normalisation, no groups.
"""

from finetune.data.preprocessing import TORCHVISION_MEAN_RGB, TORCHVISION_STD_RGB, Preprocessing
from finetune.networks.layers import AdaptiveAveragePool, Conv, Dense, Dropout, MaxPool
from finetune.networks.network import Network


def alexnet_owt(num_classes: int = 1000, input_size: int = 224, fc_units: int = 4096) -> Network:
    """Return torchvision's AlexNet: 61,100,840 parameters at 1,000 classes.

    Input: `input_size`² pixels RGB, 0 to 1, minus the mean and divided by the standard deviation. Output:
    `num_classes` logits. `fc_units` is the width of fc6 and fc7. The comments give the shapes at 224 pixels; fc6
    has the same shape at every size.
    """
    return Network(
        name="alexnet-owt",
        options={"num_classes": num_classes, "input_size": input_size, "fc_units": fc_units},
        preprocessing=Preprocessing(
            size=input_size,
            mean=TORCHVISION_MEAN_RGB,
            std=TORCHVISION_STD_RGB,
            channel_order="RGB",
            resize_to=round(input_size * 256 / 224),
        ),
        layers=(
            Conv("conv1", 64, 11, strides=4, padding=2),  # 55 × 55 × 64
            MaxPool("pool1", 3, 2),  # 27 × 27 × 64
            Conv("conv2", 192, 5, padding=2),  # 27 × 27 × 192
            MaxPool("pool2", 3, 2),  # 13 × 13 × 192
            Conv("conv3", 384, 3, padding=1),  # 13 × 13 × 384
            Conv("conv4", 256, 3, padding=1),  # 13 × 13 × 256
            Conv("conv5", 256, 3, padding=1),
            MaxPool("pool5", 3, 2),  # 6 × 6 × 256
            AdaptiveAveragePool("avgpool", 6),  # 6 × 6 × 256 = 9,216
            Dropout("drop5", 0.5),
            Dense("fc6", fc_units),
            Dropout("drop6", 0.5),
            Dense("fc7", fc_units),
            Dense("fc8", num_classes, relu=False),
        ),
    )
