"""Fine-tune AlexNet and its family, with their published Caffe weights, on your own pictures."""

__version__ = "0.1.0"
