"""AlexNet shrunk to MNIST's digits, as in teaching material; meant to be trained from scratch.

After Krizhevsky, Sutskever and Hinton 2012: five convolutions and three fully connected layers, all kernels 3 × 3. The
usual optimiser is Adam at 1e-3.
"""

from finetune.data.preprocessing import Preprocessing
from finetune.networks.layers import Conv, Dense, Dropout, MaxPool
from finetune.networks.network import Network


def alexnet_mnist(num_classes: int = 10, input_size: int = 28, fc_units: int = 1024) -> Network:
    """Return the small network for gray digits: 4,412,810 parameters at 10 classes.

    Input: `input_size`² gray pixels, 0 to 1, the whole image without cropping. Output: `num_classes` logits.
    `fc_units` is the width of fc6 and fc7. The comments give the shapes at 28 pixels.
    """
    return Network(
        name="alexnet-mnist",
        options={"num_classes": num_classes, "input_size": input_size, "fc_units": fc_units},
        preprocessing=Preprocessing(
            size=input_size, mean=(0.0,), std=(255.0,), channel_order="GRAY", resize_to=input_size
        ),
        layers=(
            Conv("conv1", 64, 3, padding="same"),  # 28 × 28 × 64
            MaxPool("pool1", 2, 2, padding="same"),  # 14 × 14 × 64
            Conv("conv2", 128, 3, padding="same"),  # 14 × 14 × 128
            MaxPool("pool2", 2, 2, padding="same"),  # 7 × 7 × 128
            Conv("conv3", 256, 3, padding="same"),  # 7 × 7 × 256
            Conv("conv4", 256, 3, padding="same"),
            Conv("conv5", 128, 3, padding="same"),  # 7 × 7 × 128
            MaxPool("pool5", 2, 2, padding="same"),  # 4 × 4 × 128 = 2,048
            Dense("fc6", fc_units),
            Dropout("drop6", 0.25),
            Dense("fc7", fc_units),
            Dropout("drop7", 0.25),
            Dense("fc8", num_classes, relu=False),
        ),
        adam_learning_rate=1e-3,
    )
