"""The model card that goes with an export: what the model is, what it was made of, how good it is, how to call it."""

import json
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import __version__
from finetune.data.preprocessing import Preprocessing
from finetune.export.calls import call
from finetune.model import Model
from finetune.pretrained.catalogue import CATALOGUE
from finetune.runs.provenance import versions
from finetune.runs.read_run import read_dataset, read_evaluation
from finetune.runs.run import Run

if TYPE_CHECKING:
    from finetune.export.int8 import Loss

LISTED = 100  # classes that the card names; classes.txt has them all
_RUNTIMES = {"litert": "ai-edge-litert", "litert-int8": "ai-edge-litert", "onnx": "onnxruntime"}


def card(
    format: str, model: Model, temperature: float, ref: str, run: Run | None, difference: float, loss: "Loss | None"
) -> str:
    """Return the README.md of an export, in Markdown; `ref` and `run` say where the model comes from."""
    network = model.network
    name = Path(ref).resolve().name if run else Path(ref).name
    sections = [
        f"# {name}: {network.name} with {len(model.class_names):,} classes, for {_FORMATS[format]}",
        f"Exported by finetune {__version__} from `{name}`. The network is `{network.name}` "
        f"({', '.join(f'{key} {value}' for key, value in network.options.items())}) with {network.parameters():,} "
        "parameters.",
        "## How to call it\n\n" + call(format, model),
        "## Preprocessing\n\n" + _preprocessing(network.preprocessing, format),
        "## Classes\n\n" + _classes(model, run),
        "## Data\n\n" + _data(run),
        "## How good it is\n\n" + _figures(model, temperature, run, format, difference, loss),
        "## Where the weights come from\n\n" + _source(model, ref, run),
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
}


def _preprocessing(preprocessing: Preprocessing, format: str) -> str:
    side, shorter = preprocessing.size, preprocessing.resize_to
    geometry = (
        f"the short side is brought to {shorter} pixels and the {side} × {side} in the middle are taken"
        if preprocessing.resize == "crop"
        else f"the whole picture is squeezed into {side} × {side} pixels"
    )
    inside = {"saved_model": "All of it happens in the model", "npy": "None of it happens in the file"}.get(
        format, "The last step, mean and scale, happens in the model; what comes before is the caller's"
    )
    values = f"mean {list(preprocessing.mean)} and scale {list(preprocessing.std)} for {preprocessing.channel_order}"
    return (
        f"{inside}. The picture is turned upright by its EXIF orientation and laid over white where it is transparent; "
        f"{geometry}, averaging areas to shrink and interpolating linearly to enlarge; then input = (pixel - mean) / "
        f"scale with {values}, in units of 0 to 255. In the form of `finetune`:\n\n"
        f"    {json.dumps(preprocessing.to_json())}"
    )


def _classes(model: Model, run: Run | None) -> str:
    """Return a table of the classes with their pictures, or their names alone where no run tells more."""
    more = len(model.class_names) - LISTED
    rest = f"\n\nand {more:,} more: `classes.txt` has them all, one a line, in order." if more > 0 else ""
    names = model.class_names[:LISTED]
    if run is None:
        return ", ".join(map(_cell, names)) + rest if names else "none"
    counts = Counter((record.label, record.split) for record in read_dataset(run).records)
    rows = [
        f"| {label} | {_cell(name)} | {counts[label, 'train']} | {counts[label, 'val']} |"
        for label, name in enumerate(names)
    ]
    return "\n".join(["| index | class | to train | to validate |", "|---|---|---|---|", *rows]) + rest


def _data(run: Run | None) -> str:
    if run is None:
        return "The file says nothing of the pictures that it was trained on."
    dataset, config = read_dataset(run), run.config()
    sides = Counter(record.split for record in dataset.records)
    # The folder's name alone: whoever gets the model need not know how the disk is laid out.
    return (
        f"`{Path(config.get('data', '')).name}`: {sides['train']} pictures to train on, {sides['val']} to validate, "
        f"{len(dataset.skipped)} left out because they could not be read. SHA-256 of pictures, labels and split: "
        f"`{config.get('data_sha256', 'unknown')}`."
    )


def _figures(
    model: Model, temperature: float, run: Run | None, format: str, difference: float, loss: "Loss | None"
) -> str:
    lines = []
    evaluation = read_evaluation(run) if run else None
    if evaluation:
        low, high = evaluation["intervals"]["top1"]
        lines.append(
            f"- On the {evaluation['images']} validation pictures: top-1 {_percent(evaluation['top1'])} (95 % interval "
            f"{_percent(low)} to {_percent(high)}), top-5 {_percent(evaluation['top5'])}, expected calibration error "
            f"{_percent(evaluation['ece_after'])}."
        )
        if evaluation.get("temperature", 1) != 1 or temperature != 1:
            lines.append(f"- Probabilities are calibrated: the logits are divided by {temperature:.4f}.")
    elif metrics := model.about.get("metrics"):
        lines.append(f"- The file's own figures: `{json.dumps(metrics)}`.")
    else:
        lines.append("- No figures are known of this model.")
    if loss:
        lines.append("- " + describe_loss(loss))
    elif format == "npy":
        lines.append("- The numbers are those of the model, bit for bit.")
    else:
        lines.append(
            "- Loaded again by its own runtime before it was kept; the largest difference of a probability from "
            f"`finetune predict` was {difference:.1e}, on four drawn pictures."
        )
    return "\n".join(lines)


def describe_loss(loss: "Loss") -> str:
    """Return what 8 bits cost in one sentence."""
    said = f"8 bits against float32 on {loss.images} pictures: "
    if loss.accuracy_float is not None and loss.accuracy_int8 is not None:
        lost = 100 * (loss.accuracy_float - loss.accuracy_int8)
        said += (
            f"top-1 {_percent(loss.accuracy_int8)} instead of {_percent(loss.accuracy_float)}, {lost:.1f} points lost; "
        )
    return said + (
        f"the same first class for {_percent(loss.agreement)}, the largest difference of a probability "
        f"{loss.difference:.3f}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _source(model: Model, ref: str, run: Run | None) -> str:
    """Return name, digest and licence of the pretrained weights."""
    source = model.about.get("source_weights") or model.about.get("weights") or {}
    name = source.get("name") or Path(ref).name
    entries = (entry for entry in CATALOGUE.values() if name == entry.name or Path(name).name in entry.files)
    entry = next(entries, None)
    if name == "none":
        return "None: the network was trained from scratch on the data above."
    digest = f", SHA-256 `{source['sha256']}`" if source.get("sha256") else ""
    licence = entry.licence if entry else source.get("licence", "not known; ask where the file came from")
    origin = f" ({entry.source})" if entry else ""
    return f"`{Path(name).name}`{origin}{digest}. Licence: {licence}." + (
        " What was trained further is subject to the terms of the pictures too." if run else ""
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
    """Return text that is no Markdown."""
    return "".join(f"\\{character}" if character in "\\|`*_[]<>#" else character for character in text)
