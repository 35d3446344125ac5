"""What a network looks at: Grad-CAM and occlusion for one picture, the kernels and activations of a layer.

`explain` and `show_filters` write pictures; the functions behind them return the numbers.
"""

from finetune.explain.explanation import Explanation, explain
from finetune.explain.filters import kernel_pictures, show_filters, strongest_activations
from finetune.explain.maps import grad_cam, occlusion

__all__ = [
    "Explanation",
    "explain",
    "grad_cam",
    "kernel_pictures",
    "occlusion",
    "show_filters",
    "strongest_activations",
]
