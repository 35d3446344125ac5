"""The plan as a table: what is loaded, fresh, frozen and trained, how fast, and on which images."""

from collections import Counter
from collections.abc import Iterator
from math import prod

from finetune.choices import Precision
from finetune.config import TrainConfig
from finetune.data.dataset import Dataset
from finetune.formats.weights_file import layer_of
from finetune.networks.layers import BatchNorm
from finetune.system.table import table
from finetune.training.plan import Plan

SHOWN_CLASSES = 20


def describe(plan: Plan, config: TrainConfig, dataset: Dataset, precision: Precision | None = None) -> str:
    """Return the plan as text of several lines; `config` is settled, and so is `precision` where it is known."""
    header = ("layer", "weights", "training", "shape", "parameters", "learning rate", "batch norm")
    rows = [header, *_layers(plan, config)]
    columns = len(header) - (not any(row[-1] for row in rows[1:]))  # few networks have batch norm
    layers = table("lllrrrl"[:columns], [row[:columns] for row in rows])
    known = ["", describe_precision(precision)] if precision else []
    return "\n".join([plan.describe(), "", *_cuts(plan), layers, "", *_images(dataset), *known])


def describe_precision(precision: Precision) -> str:
    """Return one line that says in which arithmetic what is computed."""
    if precision == "float32":
        return "precision: float32"
    return f"precision: {precision} for the frozen layers' features to train on, float32 for validation and all else"


def _cuts(plan: Plan) -> Iterator[str]:
    """Yield what --skip auto chose from, if it did."""
    rows = [
        (
            ", ".join(cut.skip),
            f"{100 * cut.accuracy:.1f} ± {100 * cut.standard_error:.1f} %",
            f"{cut.error:.3f}",
            "chosen" if cut.chosen else "",
        )
        for cut in plan.cuts
    ]
    if rows:
        yield table("lrrl", [("fresh layers", "cross-validated accuracy", "squared error", ""), *rows])
        yield "(chosen: the fewest whose error does not stand out, by two standard errors, from the least)"
        yield ""


def _layers(plan: Plan, config: TrainConfig) -> Iterator[tuple[str, ...]]:
    """Yield a row for every layer with weights."""
    shapes = plan.network.weight_shapes()
    factors = plan.factors(config.layer_lr)
    kinds = {layer.name: layer for layer in plan.network.layers}
    for name in plan.network.weighted_layers():
        own = {weight: shape for weight, shape in shapes.items() if layer_of(weight) == name}
        is_trained = name in plan.trained
        first = next((plan.epochs(stage).start for stage in plan.stages if name in stage.layers), 1)
        training = "frozen" if not is_trained else "trained" if first == 1 else f"from epoch {first}"
        rate = f"{(config.learning_rate or 0) * factors.get(name, 1.0):g}" if is_trained else ""
        norm = ("batch statistics" if is_trained else "inference") if isinstance(kinds[name], BatchNorm) else ""
        loaded = "fresh" if name in plan.skip else "loaded"
        shape = " × ".join(map(str, next(iter(own.values()))))
        yield name, loaded, training, shape, f"{sum(map(prod, own.values())):,}", rate, norm


def _images(dataset: Dataset) -> Iterator[str]:
    """Yield how many images each class has on each side."""
    counts = Counter((record.label, record.split) for record in dataset.records)
    rows = [
        (name, f"{counts[label, 'train']:,}", f"{counts[label, 'val']:,}")
        for label, name in enumerate(dataset.class_names[:SHOWN_CLASSES])
    ]
    sides = Counter(record.split for record in dataset.records)
    total = (f"all {len(dataset.class_names)} classes", f"{sides['train']:,}", f"{sides['val']:,}")
    yield table("lrr", [("class", "to train on", "to validate"), *rows, total])
    if len(dataset.class_names) > SHOWN_CLASSES:
        yield f"(the first {SHOWN_CLASSES} classes are shown)"
