"""Read a weights file of any format."""

from pathlib import Path

from finetune.errors import WeightsError
from finetune.formats.recognize import WeightsFormat, recognize
from finetune.formats.tensor_names import with_our_names
from finetune.formats.tf_checkpoint import checkpoint_index, read_tf_checkpoint
from finetune.formats.weights_file import WeightsFile

_MAX_NAME = 200  # characters


def read_weights(path: Path) -> WeightsFile:
    """Return the content of a weights file in any format that this package reads, with this package's names.

    A TensorFlow checkpoint may be given by the name of any of its files, or by the name that they share. Raises
    WeightsError when the file is missing, empty, truncated, damaged, of another kind or refused.
    """
    path = checkpoint_index(path)
    file = _read(path, recognize(path))
    if not (file.format == "safetensors" and file.metadata):  # what finetune wrote has its names, and other entries too
        file = with_our_names(file)
    for name in file.tensors:  # names are shown on terminals and in reports
        if not name.isprintable() or len(name) > _MAX_NAME:
            raise WeightsError(
                f"{path.name}: refused: a tensor is called {ascii(name)[:_MAX_NAME]}; expected up to {_MAX_NAME} "
                "printable characters; choose another file"
            )
    return file


def _read(path: Path, format: WeightsFormat) -> WeightsFile:
    """Return what the reader of the format makes of the file. Readers are imported here: some load large libraries."""
    match format:
        case "npy":
            from finetune.formats.npy_file import read_npy

            return read_npy(path)
        case "npz":
            from finetune.formats.npz_file import read_npz

            return read_npz(path)
        case "keras":
            from finetune.formats.keras_file import read_keras

            return read_keras(path)
        case "pytorch":
            from finetune.formats.pytorch_file import read_pytorch

            return read_pytorch(path)
        case "safetensors":
            from finetune.formats.safetensors_file import read_safetensors

            return read_safetensors(path)
        case "onnx":
            from finetune.formats.onnx_file import read_onnx

            return read_onnx(path)
        case "caffemodel":
            from finetune.formats.caffemodel import read_caffemodel

            return read_caffemodel(path)
        case "tf_checkpoint":
            return read_tf_checkpoint(path)
