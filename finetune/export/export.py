"""`export(ref, format)`: write a model for another program, load it there again, compare, and only then keep it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.choices import ExportFormat
from finetune.classifier import load
from finetune.data.decode import decode
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import UsageError, WeightsError
from finetune.export.folder import CARD, CLASSES, MODELS, check_free, new_folder
from finetune.export.int8 import Answers, Loss, Pictures, calibration_pixels, choose_pictures, measure
from finetune.export.model_card import card
from finetune.metrics import softmax
from finetune.model import Model
from finetune.runs.run import Run, open_run
from finetune.system.extras import needs
from finetune.system.quiet import import_tensorflow, silence

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4  # how far a probability may be from `predict`'s
_PACKAGES = {"litert": "ai_edge_litert", "litert-int8": "ai_edge_litert", "onnx": "onnx onnxruntime"}


@dataclass(frozen=True)
class Exported:
    """A finished export: its folder, the largest difference from `predict` and, for int8, what it cost."""

    folder: Path
    difference: float
    loss: Loss | None = None


def export(
    ref: str,
    format: ExportFormat,
    out: Path | None = None,
    *,
    data: Path | None = None,
    network: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the model that `ref` means, as `finetune.load` takes it, to the folder `out` in one of six formats.

    The folder holds the model, `classes.txt` and `README.md`, and appears whole or not at all. `data`: pictures for
    litert-int8, in place of a run's own. Without `out` it is `export-FORMAT` in the run, or `NAME-FORMAT` beside the
    file, or here for a name of the catalogue.
    Raises UsageError for options that contradict each other or a package that is missing, RunError for a folder in the
    way, WeightsError when the format's own runtime does not load what was written or gives other probabilities.
    """
    run = open_run(Path(ref)) if Path(ref).is_dir() else None
    folder = (out or _default_folder(ref, run, format)).absolute()
    check_free(folder, overwrite)
    _check_packages(format)
    if data is not None and format != "litert-int8":
        raise UsageError(f"--data is for litert-int8 alone, not for {format}; leave it out")
    classifier = load(ref, network)
    model, temperature = classifier.model, classifier.temperature
    if not model.class_names and format != "npy":
        raise WeightsError(
            f"{model.network.name} ends in {model.network.layers[-1].name} and has no classes, so there are no "
            "probabilities to export; export it to npy, or train it with classes"
        )
    pictures = choose_pictures(run, data) if format == "litert-int8" else None
    with new_folder(folder, overwrite) as made:
        path = made / MODELS[format]
        difference, loss = _write(path, format, model, temperature, pictures)
        (made / CLASSES).write_text("".join(f"{name}\n" for name in model.class_names), encoding="utf-8")
        text = card(format, model, temperature, ref, run, difference, loss)
        (made / CARD).write_text(text, encoding="utf-8", errors="surrogateescape")
    return Exported(folder, difference, loss)


def _default_folder(ref: str, run: Run | None, format: ExportFormat) -> Path:
    if run:
        return run.path / f"export-{format}"
    return Path(ref).with_name(f"{Path(ref).stem}-{format}")


def _check_packages(format: ExportFormat) -> None:
    missing = [package for package in _PACKAGES.get(format, "").split() if find_spec(package) is None]
    if missing:
        raise UsageError(f"--to {format} {needs(*missing)}")


def _write(
    path: Path, format: ExportFormat, model: Model, temperature: float, pictures: Pictures | None
) -> tuple[float, Loss | None]:
    """Write the model, load it again and return the largest difference from `predict`; and for int8 what is lost."""
    if format == "npy":
        _write_npy(path, model)
        return 0.0, None
    preprocessing = model.network.preprocessing
    calibration = calibration_pixels(pictures.calibration, preprocessing) if pictures else None
    import_tensorflow()
    writer: Any = import_module(f"finetune.export.{format.removesuffix('-int8')}")
    with silence():
        if calibration is None:
            writer.write(path, model, temperature)
        else:
            writer.write(path, model, temperature, _rgb(calibration, preprocessing))
    exact = _reference(model, temperature)
    drawn = drawn_pictures(preprocessing)
    pixels = np.stack([to_input(decode(data, preprocessing.short_side).image, preprocessing) for data in drawn])
    given: Any = drawn if format == "saved_model" else _rgb(pixels, preprocessing)
    found = _loaded_again(format, lambda: writer.answers(path, given))
    difference = float(abs(found - exact(pixels)).max())
    if pictures:
        loss = measure(pictures, preprocessing, exact, lambda pixels: writer.answers(path, _rgb(pixels, preprocessing)))
        return difference, loss
    if not difference <= TOLERANCE:
        raise WeightsError(
            f"{format}: what was written gives other probabilities than predict, by up to {difference:.1e} where "
            f"{TOLERANCE:.0e} is expected; nothing was kept, please report this"
        )
    return difference, None


def _loaded_again(format: ExportFormat, answers: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    try:
        with silence():
            return answers()
    except Exception as error:  # every runtime has errors of its own, and any of them means the same here
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{format}: its own runtime cannot load what was written ({type(error).__name__}: {reason}); "
            "nothing was kept, please report this"
        ) from error


def _write_npy(path: Path, model: Model) -> None:
    """Write layer -> [kernel, bias] and read it back."""
    from finetune.formats.npy_file import read_npy, write_npy

    try:
        write_npy(path, model.weights)
    except WeightsError as error:
        if isinstance(error.__context__, OSError):  # told as of the other formats, not of a folder that has gone
            raise error.__context__ from None
        raise
    found = read_npy(path).tensors
    if found.keys() != model.weights.keys() or not all(
        np.array_equal(found[name], value) for name, value in model.weights.items()
    ):
        raise WeightsError("npy: what was written reads back as other numbers; nothing was kept, please report this")


def _reference(model: Model, temperature: float) -> Answers:
    """Return `predict` as a function of the network's pixels."""
    from finetune.networks.compiled import Compiled

    compiled = Compiled(model.network.layers, model.weights, model.network.preprocessing)
    return lambda pixels: softmax(compiled(pixels), temperature)


def _rgb(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return the network's pixels in the order that the exported models take."""
    return np.ascontiguousarray(pixels[..., ::-1]) if preprocessing.channel_order == "BGR" else pixels


def drawn_pictures(preprocessing: Preprocessing) -> Sequence[bytes]:
    """Return two PNG and two JPEG files with patches of random colours, larger than the network's input and smaller."""
    generator = np.random.default_rng(0)
    files = []
    for ending, share in ((".png", 1.5), (".png", 0.6), (".jpg", 2.5), (".jpg", 0.6)):
        sides = max(8, int(preprocessing.size * share)), max(8, int(preprocessing.size * share * 1.25))
        patches = generator.integers(0, 256, (5, 7, 3), np.uint8)
        _, file = cv2.imencode(ending, cv2.resize(patches, sides, interpolation=cv2.INTER_CUBIC))
        files.append(file.tobytes())
    return files
