"""The folder of an export: it appears whole or not at all, and replaces nothing but an older export."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetune.errors import RunError

CARD, CLASSES = "README.md", "classes.txt"
MODELS = {  # what the model is called in the folder of its format
    "saved_model": "1",  # TensorFlow Serving wants the number of a version
    "keras": "model.keras",
    "litert": "model.tflite",
    "litert-int8": "model.tflite",
    "onnx": "model.onnx",
    "npy": "model.npy",
}


def check_free(folder: Path, overwrite: bool) -> None:
    """Raise RunError when `folder` has anything in it, unless that is an export and `overwrite` is on."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RunError(f"--out {folder} is no folder; expected the name of a new one")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names - {CARD, CLASSES, *MODELS.values()}:
        raise RunError(f"--out {folder} has files in it that are no export; choose another --out")
    if names and not overwrite:
        raise RunError(f"--out {folder} holds an export already; choose another --out, or --overwrite to replace it")


@contextmanager
def new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; when the block ends well it takes the name.

    When the block raises, the temporary folder goes and what stood at `folder` stays. Raises RunError as `check_free`,
    and when nothing can be written there.
    """
    check_free(folder, overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error.strerror}); choose another --out") from None
    try:
        made = temporary / "new"  # not the temporary folder itself, which only its owner may read
        made.mkdir()
        yield made
        check_free(folder, overwrite)
        _swap(made, folder, temporary / "old")
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error.strerror or error}); choose another --out") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(made: Path, folder: Path, old: Path) -> None:
    if folder.is_dir():
        folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        if old.is_dir():
            old.rename(folder)
        raise
