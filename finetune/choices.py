"""The words that options choose among. Nothing is imported here, so that the command line starts at once."""

from typing import Literal

Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "step", "cosine"]
Level = Literal["none", "light", "alexnet", "strong"]  # of augmentation
Crop = Literal["center", "random", "resized"]
Resize = Literal["crop", "warp"]
Precision = Literal["float32", "bfloat16"]
PrecisionOption = Literal["float32", "bfloat16", "auto"]
ExportFormat = Literal["saved_model", "keras", "litert", "litert-int8", "onnx", "npy"]
