"""`export(ref, format)`: write a model for other programs, load it with theirs, compare, and keep it if it agrees."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.choices import ExportFormat
from finetune.data.channels import for_other_programs
from finetune.data.decode import decode
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import UsageError, WeightsError
from finetune.export.export_folder import CARD, CLASSES, MODELS, check_free, export_folder
from finetune.export.int8 import Int8Images, Int8Loss, PredictPixels, calibration_pixels, choose_images, measure
from finetune.export.model_card import card
from finetune.export.tf_serving import write_serving
from finetune.export.web_page import runtime_files, write_page
from finetune.metrics import softmax
from finetune.model import Model
from finetune.runs.about_model import about_model
from finetune.runs.open_model import open_model
from finetune.runs.run import Run, open_run
from finetune.system.extras import needs
from finetune.system.quiet import import_tensorflow, silence

TOLERANCE = 1e-4  # how much a probability may differ from that of `predict`
WEB_TOLERANCE = 1e-3  # the same, for the web; with kernels of 8 bits, it is measured and reported
_PACKAGES = {
    "litert": "ai_edge_litert",
    "litert-int8": "ai_edge_litert",
    "onnx": "onnx onnxruntime",
    "web": "onnx onnxruntime",
    "web-int8": "onnx onnxruntime",
}
_KERNELS = {"web": ["float16", "float32"], "web-int8": ["int8"]}  # the first that keeps the tolerance


@dataclass(frozen=True)
class Exported:
    """A finished export: its folder, the largest difference from `predict`, and what 8 bits cost, if measured."""

    folder: Path
    difference: float
    loss: Int8Loss | None = None


def export(
    ref: str,
    format: ExportFormat,
    out: Path | None = None,
    *,
    data: Path | None = None,
    runtime: Path | None = None,
    network: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the model that `ref` names, as for `finetune.load`, to the folder `out` in one of eight formats.

    The folder holds the model, `classes.txt` and `README.md`, for some formats more, and appears whole or not at all.
    `data`: images for 8 bits, instead of a run's own. `runtime`: the folder dist of the npm package onnxruntime-web,
    for web and web-int8; by default the one in `node_modules` of the current folder. `out` defaults to `export-FORMAT`
    in a run, `NAME-FORMAT` next to a file, and `NAME-FORMAT` in the current folder for published weights.
    Raises UsageError for contradictory options or a missing package, RunError for a folder in the way, WeightsError if
    the format's own runtime cannot load the export or gives other probabilities.
    """
    run = open_run(Path(ref)) if Path(ref).is_dir() else None
    shown = out or _default_folder(ref, run, format)
    folder = shown.absolute()
    check_free(folder, overwrite)
    _check_packages(format)
    is_web = format in _KERNELS
    if data is not None and not format.endswith("-int8"):
        raise UsageError(f"--data is only for litert-int8 and web-int8, not for {format}; omit it")
    if runtime is not None and not is_web:
        raise UsageError(f"--runtime is only for web and web-int8, not for {format}; omit it")
    javascript = runtime_files(runtime) if is_web else {}
    model = open_model(ref, network)
    if not model.class_names and format != "npy":
        raise WeightsError(
            f"{model.network.name} ends in {model.network.layers[-1].name} and has no classes, so there are no "
            "probabilities to export; export it to npy, or train it with classes"
        )
    images = _images(format, run, data)
    with export_folder(folder, overwrite) as new:
        difference, loss = _write(new / MODELS[format], format, model, images)
        (new / CLASSES).write_text("".join(f"{name}\n" for name in model.class_names), encoding="utf-8")
        if is_web:
            write_page(new, javascript, about_model(model, ref))
        elif format == "saved_model":
            write_serving(new)
        text = card(format, model, ref, run, difference, loss)
        (new / CARD).write_text(text, encoding="utf-8", errors="surrogateescape")
    return Exported(shown, difference, loss)


def _default_folder(ref: str, run: Run | None, format: ExportFormat) -> Path:
    if run:
        return run.path / f"export-{format}"
    return Path(ref).with_name(f"{Path(ref).stem}-{format}")


def _images(format: ExportFormat, run: Run | None, data: Path | None) -> Int8Images | None:
    """Return the images that 8 bits need; for web-int8, which needs none, those that measure its loss, if there are."""
    if format == "litert-int8" or data is not None:
        return choose_images(run, data)
    if format != "web-int8" or run is None:
        return None
    images = choose_images(run, None)
    return images if any(path.is_file() for path in images.measured) else None


def _check_packages(format: ExportFormat) -> None:
    missing = [package for package in _PACKAGES.get(format, "").split() if find_spec(package) is None]
    if missing:
        raise UsageError(f"--to {format} {needs(*missing)}")


def _write(path: Path, format: ExportFormat, model: Model, images: Int8Images | None) -> tuple[float, Int8Loss | None]:
    """Write the model, load it again and return the largest difference from `predict`; for int8 also the loss."""
    if format == "npy":
        _write_npy(path, model)
        return 0.0, None
    preprocessing = model.network.preprocessing
    ways: list[tuple[Any, ...]] = [()]
    if format in _KERNELS:
        ways = [(kernels,) for kernels in _KERNELS[format]]
    elif images:
        calibration = calibration_pixels(images.calibration, preprocessing)
        ways = [(for_other_programs(calibration, preprocessing.channel_order),)]
    import_tensorflow()
    module: Any = import_module(f"finetune.export.{format.removesuffix('-int8')}")
    predict_float = _predict_with_network(model)
    allowed = {"web": WEB_TOLERANCE, "web-int8": 1}.get(format, TOLERANCE)
    for way in ways:
        with silence():
            module.write(path, model, *way)
        difference = _difference(path, format, module, preprocessing, predict_float)
        if difference <= allowed:
            break
    if images:

        def predict_int8(pixels: NDArray[np.uint8]) -> NDArray[np.floating]:
            return module.predict(path, for_other_programs(pixels, preprocessing.channel_order))

        return difference, measure(images, preprocessing, predict_float, predict_int8)
    if not difference <= allowed:  # true for NaN, too
        raise WeightsError(
            f"{format}: the export gives other probabilities than predict, with a difference of up to {difference:.1e} "
            f"where at most {allowed:.0e} is expected; nothing was kept, please report this"
        )
    return difference, None


def _difference(
    path: Path, format: ExportFormat, module: Any, preprocessing: Preprocessing, predict_float: PredictPixels
) -> float:
    """Return the largest difference of a probability on synthetic images, as the format's own runtime computes it."""
    files = synthetic_images(preprocessing)
    pixels = np.stack([to_input(decode(file, preprocessing.short_side).image, preprocessing) for file in files])
    inputs: Any = files if format == "saved_model" else for_other_programs(pixels, preprocessing.channel_order)
    try:
        with silence():
            found = module.predict(path, inputs)
    except Exception as error:  # every runtime has its own errors, and any of them means the same here
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{format}: its own runtime cannot load the export ({type(error).__name__}: {reason}); "
            "nothing was kept, please report this"
        ) from error
    return float(abs(found - predict_float(pixels)).max())


def _write_npy(path: Path, model: Model) -> None:
    """Write layer -> [kernel, bias] and read it back."""
    from finetune.formats.npy_file import read_npy, write_npy

    try:
        write_npy(path, model.weights)
    except WeightsError as error:
        if isinstance(error.__context__, OSError):  # reported as for the other formats, not for the temporary folder
            raise error.__context__ from None
        raise
    found = read_npy(path).tensors
    if found.keys() != model.weights.keys() or not all(
        np.array_equal(found[name], value) for name, value in model.weights.items()
    ):
        raise WeightsError("npy: the export reads back as other numbers; nothing was kept, please report this")


def _predict_with_network(model: Model) -> PredictPixels:
    """Return the function from network input to probabilities that `predict` computes."""
    from finetune.networks.compiled import Compiled

    compiled = Compiled(model.network.layers, model.weights, model.network.preprocessing)
    return lambda pixels: softmax(compiled(pixels), model.temperature)


def synthetic_images(preprocessing: Preprocessing) -> Sequence[bytes]:
    """Return two PNG and two JPEG files with random colour patches, larger and smaller than the network's input."""
    generator = np.random.default_rng(0)
    files = []
    for ending, scale in ((".png", 1.5), (".png", 0.6), (".jpg", 2.5), (".jpg", 0.6)):
        size = max(8, int(preprocessing.size * scale)), max(8, int(preprocessing.size * scale * 1.25))
        patches = generator.integers(0, 256, (5, 7, 3), np.uint8)
        _, file = cv2.imencode(ending, cv2.resize(patches, size, interpolation=cv2.INTER_CUBIC))
        files.append(file.tobytes())
    return files
