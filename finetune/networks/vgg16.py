"""VGG16, configuration D of the Visual Geometry Group's very deep networks.

Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014, table 1; layer names
from the authors' VGG_ILSVRC_16_layers_deploy.prototxt.
"""

from finetune.data.preprocessing import Preprocessing
from finetune.networks.layers import Conv, Dense, Dropout, MaxPool
from finetune.networks.network import Network

# Mean of the ILSVRC 2012 training pixels per channel, from the description of the authors' Caffe model.
VGG_MEAN_BGR = (103.939, 116.779, 123.68)


def vgg16(num_classes: int = 1000, input_size: int = 224, fc_units: int = 4096) -> Network:
    """Return VGG16: 138,357,544 parameters at 1,000 classes.

    Input: `input_size`² pixels BGR, 0 to 255 minus the mean. Output: `num_classes` logits. `fc_units` is the width
    of fc6 and fc7. The comments give the shapes at 224 pixels.
    """
    return Network(
        name="vgg16",
        options={"num_classes": num_classes, "input_size": input_size, "fc_units": fc_units},
        preprocessing=Preprocessing(size=input_size, mean=VGG_MEAN_BGR, resize_to=round(input_size * 256 / 224)),
        layers=(
            Conv("conv1_1", 64, 3, padding=1),  # 224 × 224 × 64
            Conv("conv1_2", 64, 3, padding=1),
            MaxPool("pool1", 2, 2),  # 112 × 112 × 64
            Conv("conv2_1", 128, 3, padding=1),  # 112 × 112 × 128
            Conv("conv2_2", 128, 3, padding=1),
            MaxPool("pool2", 2, 2),  # 56 × 56 × 128
            Conv("conv3_1", 256, 3, padding=1),  # 56 × 56 × 256
            Conv("conv3_2", 256, 3, padding=1),
            Conv("conv3_3", 256, 3, padding=1),
            MaxPool("pool3", 2, 2),  # 28 × 28 × 256
            Conv("conv4_1", 512, 3, padding=1),  # 28 × 28 × 512
            Conv("conv4_2", 512, 3, padding=1),
            Conv("conv4_3", 512, 3, padding=1),
            MaxPool("pool4", 2, 2),  # 14 × 14 × 512
            Conv("conv5_1", 512, 3, padding=1),  # 14 × 14 × 512
            Conv("conv5_2", 512, 3, padding=1),
            Conv("conv5_3", 512, 3, padding=1),
            MaxPool("pool5", 2, 2),  # 7 × 7 × 512 = 25,088
            Dense("fc6", fc_units),
            Dropout("drop6", 0.5),
            Dense("fc7", fc_units),
            Dropout("drop7", 0.5),
            Dense("fc8", num_classes, relu=False),
        ),
    )
