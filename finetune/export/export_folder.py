"""The folder of an export: it appears whole or not at all, and replaces nothing but an older export."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetune.errors import RunError
from finetune.system.atomic import replacing_folder

CARD, CLASSES = "README.md", "classes.txt"
MODELS = {  # format -> name of the model in the folder
    "saved_model": "1",  # a version number, as TensorFlow Serving expects
    "keras": "model.keras",
    "litert": "model.tflite",
    "litert-int8": "model.tflite",
    "onnx": "model.onnx",
    "npy": "model.npy",
    "web": "model.onnx.gz",
    "web-int8": "model.onnx.gz",
}
# Of a web page, in addition to the model: what is copied from this package, what the page reads about the model, and
# the files of onnxruntime-web with their names in its package.
PAGE = (
    *("index.html", "page.css", "page.js", "bars.js", "camera.js"),
    *("engine.js", "image.js", "jpeg.js", "jpeg_scan.js", "idct.js", "network_input.js"),
)
ABOUT = "model.json"
RUNTIME = {
    "onnxruntime-web.js": "ort.wasm.min.mjs",  # servers know .js as JavaScript; some do not know .mjs
    "onnxruntime-wasm.js": "ort-wasm-simd-threaded.mjs",
    "onnxruntime-wasm.wasm.gz": "ort-wasm-simd-threaded.wasm",
}
COMPOSE, SERVED = "compose.yaml", "models.config"  # for TensorFlow Serving

_NAMES = {CARD, CLASSES, *MODELS.values(), *PAGE, ABOUT, *RUNTIME, COMPOSE, SERVED}


def check_free(folder: Path, overwrite: bool) -> None:
    """Raise RunError if `folder` has anything in it, unless it is an export and `overwrite` is on."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RunError(f"--out {folder} is not a folder; expected the name of a new one")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    # Any web site has an index.html, but not the classes of a model.
    if names - _NAMES or (names & {*PAGE} and CLASSES not in names):
        raise RunError(f"--out {folder} contains files that are not part of an export; choose another --out")
    if names and not overwrite:
        raise RunError(f"--out {folder} already holds an export; choose another --out, or --overwrite to replace it")


@contextmanager
def export_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a new folder, which takes the place of `folder` when the block ends without an error.

    If the block raises, an older export in `folder` stays. Raises RunError as `check_free`, and if nothing can be
    written there.
    """
    check_free(folder, overwrite)
    try:
        with replacing_folder(folder) as new:
            yield new
            check_free(folder, overwrite)  # again, since writing the model took a while
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error.strerror or error}); choose another --out") from None
