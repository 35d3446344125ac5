"""The words that options choose among. Nothing is imported here, so that the command line starts at once.

The names of the networks and of the published weights are repeated here for the help and for completion in the shell; a
test compares them with `NETWORKS` and `CATALOGUE`.
"""

from typing import Literal

Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "step", "cosine"]
Level = Literal["none", "light", "alexnet", "strong"]  # of augmentation
Crop = Literal["center", "random", "resized"]
Resize = Literal["crop", "warp"]
Interpolation = Literal["area", "linear"]  # of images that shrink
AS_TRAINED, NO_MEAN, MEAN_OF_DATA = "weights", "none", "data"  # in place of numbers for --mean
LightingOption = float | Literal["paper"]  # a strength, or that of the paper, on its own scale
Pool = Literal["max", "mean", "none"]  # over height and width
Precision = Literal["float32", "bfloat16"]
PrecisionOption = Literal["float32", "bfloat16", "auto"]
NETWORK_NAMES = ("alexnet", "caffenet", "alexnet-owt", "alexnet-book", "alexnet-bn", "alexnet-mnist", "vgg16")
WEIGHTS_NAMES = ("bvlc_alexnet", "bvlc_caffenet", "torchvision_alexnet", "torchvision_vgg16", "vgg16", "starter")
Kept = Literal["best", "last", "probe"]  # the model that a training keeps: of an epoch, or a linear probe
SplitName = Literal["train", "val", "test"]  # what a folder or a line of a list may call its split
Dissimilarity = Literal["correlation", "euclidean", "cosine"]
ExportFormat = Literal["saved_model", "keras", "litert", "litert-int8", "onnx", "npy", "web", "web-int8"]
Engine = Literal["local", "ray"]  # what computes: this machine, or a Ray cluster
