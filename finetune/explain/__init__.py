"""What a network looks at: Grad-CAM and occlusion for one image, and the kernels and activations of a layer.

`explain` and `show_filters` write PNG files; the functions behind them return the numbers.
"""

from finetune.explain.explanation import explain
from finetune.explain.filters import kernel_images, show_filters, strongest_activations
from finetune.explain.maps import grad_cam, occlusion
from finetune.explain.types import Activation, Explanation

__all__ = [
    "Activation",
    "Explanation",
    "explain",
    "grad_cam",
    "kernel_images",
    "occlusion",
    "show_filters",
    "strongest_activations",
]
