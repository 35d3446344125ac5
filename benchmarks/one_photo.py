"""Classify one photo with plain PyTorch or ONNX Runtime, and print the number of its class.

    python one_photo.py torch|onnx PREFIX PHOTO

A whole program, which `compare.py` measures from the start; each library gets a file that it loads fast.
"""

import json
import sys
from pathlib import Path
from typing import Any

from square import read_square


def torch(prefix: str, images: Any) -> Any:
    import torch

    network = torch.load(prefix + ".pth", weights_only=False)
    with torch.inference_mode():
        return network(torch.from_numpy(images)).numpy()


def onnx(prefix: str, images: Any) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(prefix + ".onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


if __name__ == "__main__":
    library, prefix, photo = sys.argv[1:]
    preprocessing = json.loads(Path(prefix + ".json").read_text(encoding="utf-8"))["preprocessing"]
    logits = {"torch": torch, "onnx": onnx}[library](prefix, read_square(photo, preprocessing)[None])
    print(int(logits[0].argmax()))
