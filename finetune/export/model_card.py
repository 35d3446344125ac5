"""The model card of an export: what the model is, how to use it, what it was trained on and how good it is."""

import json
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import __version__
from finetune.choices import Interpolation
from finetune.data.preprocessing import Preprocessing
from finetune.export.usage import usage
from finetune.model import Model
from finetune.pretrained.catalogue import CATALOGUE
from finetune.runs.provenance import versions
from finetune.runs.read_run import read_dataset, read_evaluation
from finetune.runs.run import Run
from finetune.system.text import percent

if TYPE_CHECKING:
    from finetune.export.int8 import Int8Loss

LISTED = 100  # classes that the card names; classes.txt has all of them
_RUNTIMES = {
    **dict.fromkeys(("litert", "litert-int8"), "ai-edge-litert"),
    **dict.fromkeys(("onnx", "web", "web-int8"), "onnxruntime"),
}


def card(format: str, model: Model, ref: str, run: Run | None, difference: float, loss: "Int8Loss | None") -> str:
    """Return the README.md of an export, in Markdown; `ref` and `run` are where the model comes from."""
    network = model.network
    name = Path(ref).resolve().name if run else Path(ref).name
    sections = [
        f"# {name}: {network.name} with {len(model.class_names):,} classes, for {_FORMATS[format]}",
        f"Exported by finetune {__version__} from `{name}`. The network is `{network.name}` "
        f"({', '.join(f'{key} {value}' for key, value in network.options.items())}) with {network.parameters():,} "
        "parameters.",
        "## How to use it\n\n" + usage(format, model),
        "## Preprocessing\n\n" + _preprocessing(network.preprocessing, format),
        "## Classes\n\n" + _classes(model, run),
        "## Data\n\n" + _data(run),
        "## Metrics\n\n" + _metrics(model, run, format, difference, loss),
        "## Source of the weights\n\n" + _source(model, ref, run),
        "## Versions\n\n" + _versions(format, run),
    ]
    return "\n\n".join(sections) + "\n"


_FORMATS = {
    "saved_model": "TensorFlow (SavedModel)",
    "keras": "Keras",
    "litert": "LiteRT, float32",
    "litert-int8": "LiteRT, 8 bits",
    "onnx": "ONNX",
    "npy": "NumPy",
    "web": "web browsers",
    "web-int8": "web browsers, 8 bits",
}


def _preprocessing(preprocessing: Preprocessing, format: str) -> str:
    side, short_side = preprocessing.size, preprocessing.resize_to
    geometry = (
        f"resized to {short_side} pixels on its short side and cropped to the central {side} × {side} pixels"
        if preprocessing.resize == "crop"
        else f"squeezed into {side} × {side} pixels as a whole"
    )
    who = {
        "saved_model": "The model does all of this",
        "npy": "The caller does all of this",
        **dict.fromkeys(("web", "web-int8"), "The page does all of this"),
    }.get(format, "The model does the last step, mean and scale; the caller does the others")
    values = f"mean {list(preprocessing.mean)} and scale {list(preprocessing.std)} for {preprocessing.channel_order}"
    return (
        f"{who}. The image is turned upright by its EXIF orientation, laid over white where it is transparent, and "
        f"{geometry}; {_INTERPOLATION[preprocessing.interpolation]}. Then input = (pixel - mean) / scale "
        f"with {values}, for pixels from 0 to 255. As `finetune` stores it:\n\n"
        f"    {json.dumps(preprocessing.to_json())}"
    )


_INTERPOLATION: dict[Interpolation, str] = {
    "area": "shrinking averages areas, enlarging interpolates linearly",
    "linear": "pixels are interpolated linearly between the four nearest, also where the image shrinks",
}


def _classes(model: Model, run: Run | None) -> str:
    """Return a table of the classes with their numbers of images, or their names alone if there is no run."""
    more = len(model.class_names) - LISTED
    rest = f"\n\nand {more:,} more; `classes.txt` has all of them in order, one per line." if more > 0 else ""
    names = model.class_names[:LISTED]
    if run is None:
        return ", ".join(map(_cell, names)) + rest if names else "none"
    counts = Counter((record.label, record.split) for record in read_dataset(run).records)
    rows = [
        f"| {label} | {_cell(name)} | {counts[label, 'train']} | {counts[label, 'val']} |"
        for label, name in enumerate(names)
    ]
    return "\n".join(["| index | class | training images | validation images |", "|---|---|---|---|", *rows]) + rest


def _data(run: Run | None) -> str:
    if run is None:
        return "The file does not say which images it was trained on."
    dataset, config = read_dataset(run), run.config()
    counts = Counter(record.split for record in dataset.records)
    # The name of the folder only: whoever gets the model need not know the layout of this disk.
    return (
        f"`{Path(config.get('data', '')).name}`: {counts['train']} training images, {counts['val']} validation images, "
        f"{len(dataset.skipped)} skipped because they could not be read. SHA-256 of images, labels and split: "
        f"`{config.get('data_sha256', 'unknown')}`."
    )


def _floor(evaluation: Mapping[str, Any]) -> str:
    """Return how much of a calibration error is chance; empty for a run of 0.1, which does not say."""
    if "ece_floor" not in evaluation:
        return ""
    return f" (a perfectly calibrated model would show {percent(evaluation['ece_floor'])} on this many images)"


def _metrics(model: Model, run: Run | None, format: str, difference: float, loss: "Int8Loss | None") -> str:
    lines = []
    evaluation = read_evaluation(run) if run else None
    metrics = model.about.get("metrics")
    if evaluation:
        low, high = evaluation["intervals"]["top1"]
        top5 = f"top-5 {percent(evaluation['top5'])}, " if len(model.class_names) > 5 else ""
        images = metrics.get("judged", "validation images") if isinstance(metrics, Mapping) else "validation images"
        lines.append(
            f"- On {evaluation['images']} {images}: top-1 {percent(evaluation['top1'])} (95 % interval "
            f"{percent(low)} to {percent(high)}), {top5}expected calibration error "
            f"{percent(evaluation['ece_after'])}{_floor(evaluation)}."
        )
        if evaluation.get("temperature", 1) != 1 or model.temperature != 1:
            lines.append(f"- Probabilities are calibrated: the logits are divided by {model.temperature:.4f}.")
    elif metrics:
        lines.append(f"- Metrics in the model's file: `{json.dumps(metrics)}`.")
    else:
        lines.append("- No metrics of this model are known.")
    if loss:
        lines.append("- " + describe_loss(loss))
    elif format == "npy":
        lines.append("- The weights are those of the model, bit for bit.")
    else:
        runtime = "ONNX Runtime for Python" if format in ("web", "web-int8") else "The format's own runtime"
        lines.append(
            f"- {runtime} has loaded this export; on four synthetic images its probabilities differed "
            f"from those of `finetune predict` by at most {difference:.1e}."
        )
    return "\n".join(lines)


def describe_loss(loss: "Int8Loss") -> str:
    """Return one sentence about what 8 bits cost."""
    accuracy = ""
    if loss.accuracy_float is not None and loss.accuracy_int8 is not None:
        points = 100 * (loss.accuracy_int8 - loss.accuracy_float)
        accuracy = (
            f"top-1 {percent(loss.accuracy_int8)} instead of {percent(loss.accuracy_float)}, {abs(points):.1f} points "
            f"{'gained' if points > 0 else 'lost'}; "
        )
    return (
        f"8 bits compared with float32 on {loss.images} images: {accuracy}the same class for "
        f"{percent(loss.agreement)}; probabilities differ by at most {loss.difference:.3f}."
    )


def _source(model: Model, ref: str, run: Run | None) -> str:
    """Return name, digest and licence of the pretrained weights."""
    source = model.about.get("source_weights") or model.about.get("weights") or {}
    name = source.get("name") or Path(ref).name
    entries = (entry for entry in CATALOGUE.values() if name == entry.name or Path(name).name in entry.files)
    entry = next(entries, None)
    if name == "none":
        return "None: the network was trained from scratch on the data above."
    digest = f", SHA-256 `{source['sha256']}`" if source.get("sha256") else ""
    licence = entry.licence if entry else source.get("licence", "unknown; ask where the file came from")
    origin = f" ({entry.source})" if entry else ""
    return f"`{Path(name).name}`{origin}{digest}. Licence: {licence}." + (
        " The layers that were trained further are also subject to the terms of the images." if run else ""
    )


def _versions(format: str, run: Run | None) -> str:
    now = versions()
    if runtime := _RUNTIMES.get(format):
        try:
            now[runtime] = version(runtime)
        except PackageNotFoundError:
            now[runtime] = "unknown"
    lines = ["- exported with " + _listed(now)]
    trained: dict[str, Any] = run.config().get("versions", {}) if run else {}
    if trained:
        lines.append("- trained with " + _listed(trained))
    return "\n".join(lines)


def _listed(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items() if name != "system")


def _cell(text: str) -> str:
    """Return text with the characters escaped that Markdown would interpret."""
    return "".join(f"\\{character}" if character in "\\|`*_[]<>#" else character for character in text)
