"""The plan as text: what is loaded, fresh, frozen and trained, how fast, and on which images."""

from collections import Counter
from collections.abc import Iterator
from math import prod

from finetune.data.dataset import Dataset
from finetune.formats.weights_file import layer_of
from finetune.networks.layers import BatchNorm
from finetune.system.table import table
from finetune.system.text import shape_text
from finetune.training.plan import Plan

SHOWN_CLASSES = 20


def describe(plan: Plan, dataset: Dataset) -> str:
    """Return the plan as text of several lines."""
    header = ("layer", "weights", "training", "shape", "parameters", "learning rate", "batch norm")
    rows = [header, *_layers(plan)]
    columns = len(header) - (not any(row[-1] for row in rows[1:]))  # few networks have batch norm
    layers = table("lllrrrl"[:columns], [row[:columns] for row in rows])
    return "\n".join([summary_line(plan), "", *_cuts(plan), layers, "", *_images(dataset), "", _precision(plan)])


def summary_line(plan: Plan) -> str:
    """Return one line that says what is loaded, fresh, frozen and trained."""
    loaded = [name for name in plan.network.weighted_layers() if name not in plan.skip]
    frozen = [name for name in loaded if name not in plan.trainable]
    parts = [
        f"{plan.network.name} from {plan.source.name}" if loaded else f"{plan.network.name} from scratch",
        f"frozen: {', '.join(frozen) or 'nothing'}",
        f"loaded and trained: {', '.join(plan.trainable)}" if plan.trainable else "",
        f"fresh and trained: {', '.join(plan.skip) or 'nothing'}",
    ]
    return "; ".join(part for part in parts if part)


def _precision(plan: Plan) -> str:
    """Return one line that says in which arithmetic what is computed."""
    if plan.precision == "float32":
        return "precision: float32"
    others = "float32 for everything else, validation included"
    return f"precision: {plan.precision} for the frozen layers' features to train on, {others}"


def _cuts(plan: Plan) -> Iterator[str]:
    """Yield what --skip auto chose from, if it was given."""
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
        yield "(chosen: the fewest layers whose error is within two standard errors of the lowest)"
        yield ""


def _layers(plan: Plan) -> Iterator[tuple[str, ...]]:
    """Yield a row for every layer with weights."""
    shapes = plan.network.weight_shapes()
    factors = plan.factors
    kinds = {layer.name: layer for layer in plan.network.layers}
    for name in plan.network.weighted_layers():
        own = {weight: shape for weight, shape in shapes.items() if layer_of(weight) == name}
        is_trained = name in plan.trained
        first = next((plan.epochs(stage).start for stage in plan.stages if name in stage.layers), 1)
        training = "frozen" if not is_trained else "trained" if first == 1 else f"from epoch {first}"
        rate = f"{plan.config.learning_rate * factors.get(name, 1.0):g}" if is_trained else ""
        norm = ("batch statistics" if is_trained else "inference") if isinstance(kinds[name], BatchNorm) else ""
        loaded = "fresh" if name in plan.skip else "loaded"
        shape = shape_text(next(iter(own.values())))
        yield name, loaded, training, shape, f"{sum(map(prod, own.values())):,}", rate, norm


def _images(dataset: Dataset) -> Iterator[str]:
    """Yield how many images each class has in each split."""
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
    if groups := dataset.by_group():
        alone = sum(not record.group for record in dataset.records)
        without = f" and {alone:,} images without a group" if alone else ""
        yield f"groups: {len(groups):,}{without}; in two splits: {len(dataset.divided_groups()) or 'none'}"
    if copies := dataset.by_copy():
        near = " or nearly identical" if dataset.copies else ""
        divided = sum(len({record.split for record in same}) > 1 for same in copies)
        images = sum(map(len, copies))
        yield f"copies: {images:,} images are identical{near} to others, in {len(copies):,} groups; in two splits: " + (
            f"{divided:,}" if divided else "none"
        )
