"""AlexNet with batch normalisation, in the form common among Keras users.

Krizhevsky, Sutskever and Hinton 2012 without groups; Ioffe and Szegedy, Batch Normalization, 2015, after each ReLU in
place of local response normalisation, with the defaults of keras.layers.BatchNormalization.
"""

from finetune.data.preprocessing import CAFFE_MEAN_BGR, Preprocessing
from finetune.networks.layers import BatchNorm, Conv, Dense, Dropout, MaxPool
from finetune.networks.network import Network


def alexnet_bn(num_classes: int = 1000, input_size: int = 227, fc_units: int = 4096) -> Network:
    """Return AlexNet with batch norm: 62,383,848 parameters at 1,000 classes, of which 2,752 are statistics.

    Input: `input_size`² pixels BGR, 0 to 255 minus the mean: no weights were published, so the preprocessing is
    BVLC's. Output: `num_classes` logits. `fc_units` is the width of fc6 and fc7. The comments give the shapes at 227
    pixels.
    """
    return Network(
        name="alexnet-bn",
        options={"num_classes": num_classes, "input_size": input_size, "fc_units": fc_units},
        preprocessing=Preprocessing(size=input_size, mean=CAFFE_MEAN_BGR),
        layers=(
            Conv("conv1", 96, 11, strides=4),  # 55 × 55 × 96
            BatchNorm("bn1"),
            MaxPool("pool1", 3, 2),  # 27 × 27 × 96
            Conv("conv2", 256, 5, padding="same"),  # 27 × 27 × 256
            BatchNorm("bn2"),
            MaxPool("pool2", 3, 2),  # 13 × 13 × 256
            Conv("conv3", 384, 3, padding="same"),  # 13 × 13 × 384
            BatchNorm("bn3"),
            Conv("conv4", 384, 3, padding="same"),
            BatchNorm("bn4"),
            Conv("conv5", 256, 3, padding="same"),  # 13 × 13 × 256
            BatchNorm("bn5"),
            MaxPool("pool5", 3, 2),  # 6 × 6 × 256 = 9,216
            Dense("fc6", fc_units),
            Dropout("drop6", 0.5),
            Dense("fc7", fc_units),
            Dropout("drop7", 0.5),
            Dense("fc8", num_classes, relu=False),
        ),
    )
