"""What a network looks at: Grad-CAM and occlusion for one image, kernels, activations, and what drives a channel.

`explain` and the functions that show something write figures; the functions behind them return the numbers.
"""

from finetune.explain.driving_images import driving_images, show_driving_images
from finetune.explain.explanation import explain
from finetune.explain.filters import kernel_images, show_filters, show_optimized_images, strongest_activations
from finetune.explain.maps import grad_cam, occlusion
from finetune.explain.types import Activation, DrivenChannel, DrivingImage, Explanation, OptimizedImage

__all__ = [
    "Activation",
    "DrivenChannel",
    "DrivingImage",
    "Explanation",
    "OptimizedImage",
    "driving_images",
    "explain",
    "grad_cam",
    "kernel_images",
    "occlusion",
    "show_driving_images",
    "show_filters",
    "show_optimized_images",
    "strongest_activations",
]
