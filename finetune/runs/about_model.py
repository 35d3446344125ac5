"""What a page or program should know about a model before it uses it; `GET /v1/model`, and the export to the web."""

from pathlib import Path
from typing import Any

from finetune import __version__
from finetune.model import Model
from finetune.networks.layer_outputs import output_names
from finetune.runs.open_model import model_file
from finetune.runs.read_run import read_evaluation
from finetune.runs.run import open_run
from finetune.system.digest import sha256_of_file


def about_model(model: Model, ref: str | Path) -> dict[str, Any]:
    """Return name, network, classes, digest and metrics of the model that `open_model(ref)` returned, as JSON values.

    `sha256`: the digest of the model's file. `accuracy`: None unless `ref` is a run that was evaluated, otherwise the
    share of `images` (of the kind `of`) that were classified correctly, 0 to 1, and its 95 % `interval`. No path of
    this machine is in it. Raises RunError or WeightsError if the file no longer exists.
    """
    file, network = model_file(ref), model.network
    source = model.about.get("source_weights") or model.about.get("weights") or {}
    return {
        "name": (Path(ref).resolve() if Path(ref).is_dir() else Path(ref)).name,
        "version": __version__,
        "network": network.name,
        "options": dict(network.options),
        "parameters": network.parameters(),
        "layers": output_names(network),
        "preprocessing": network.preprocessing.to_json(),
        "temperature": model.temperature,
        "sha256": sha256_of_file(file),
        "source": {key: Path(str(source[key])).name for key in ("name", "sha256") if source.get(key)},
        "accuracy": _accuracy(model, Path(ref)),
        "classes": list(model.class_names),
    }


def _accuracy(model: Model, path: Path) -> dict[str, Any] | None:
    evaluation = read_evaluation(open_run(path)) if path.is_dir() else None
    if not evaluation:
        return None
    metrics = model.about.get("metrics")
    of = metrics.get("judged", "validation images") if isinstance(metrics, dict) else "validation images"
    return {
        "top1": evaluation["top1"],
        "interval": evaluation["intervals"]["top1"],
        "images": evaluation["images"],
        "of": of,
    }
