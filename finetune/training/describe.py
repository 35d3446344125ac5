"""The plan as text: what is loaded, fresh, frozen and trained, how, and on which images."""

from collections import Counter
from collections.abc import Iterator
from math import prod

from finetune.data.dataset import Dataset
from finetune.formats.weights_file import layer_of
from finetune.networks.layers import BatchNorm
from finetune.system.table import table
from finetune.system.text import shape_text
from finetune.training.method import method
from finetune.training.plan import Plan, Probe

SHOWN_CLASSES = 20


def describe(plan: Plan, dataset: Dataset) -> str:
    """Return the plan as text: some lines that say what is trained and how, an empty line, and tables."""
    header = ("layer", "weights", "training", "shape", "parameters", "learning rate", "batch norm")
    rows = [header, *_layers(plan)]
    filled = [number for number in range(len(header)) if any(row[number] for row in rows[1:])]
    layers = table(
        "".join("lllrrrl"[number] for number in filled), [[row[number] for number in filled] for row in rows]
    )
    probe = [probe_table(plan.probe), ""] if plan.probe else []
    return "\n".join([summary_line(plan), *method(plan), "", *probe, layers, "", *_images(dataset)])


def summary_line(plan: Plan) -> str:
    """Return one line that says what is loaded, fresh, frozen and trained."""
    loaded = [name for name in plan.network.weighted_layers() if name not in plan.skip]
    frozen = [name for name in loaded if name not in plan.trainable]
    parts = [
        f"{plan.network.name} from {plan.source.name}" if loaded else f"{plan.network.name} from scratch",
        f"frozen: {', '.join(frozen) or 'nothing'}",
        f"loaded and trained: {', '.join(plan.trainable)}" if plan.trainable else "",
        f"fresh and {'fitted' if plan.config.is_probe else 'trained'}: {', '.join(plan.skip) or 'nothing'}",
    ]
    return "; ".join(part for part in parts if part)


def probe_table(probe: Probe) -> str:
    """Return what the layer of a probe was chosen from, as lines."""
    rows = [
        (
            tried.layer,
            f"{100 * tried.accuracy:.1f} ± {100 * tried.standard_error:.1f} %",
            f"{tried.log_loss:.3f}",
            f"{tried.strength:g}",
            "chosen" if tried.chosen else "",
        )
        for tried in probe.layers
    ]
    tried = table("lrrrl", [("probe on", "cross-validated accuracy", "log loss", "L2 strength", ""), *rows])
    return f"{tried}\n(on {len(probe.records):,} images that the probe did not see; chosen: the lowest log loss)"


def _layers(plan: Plan) -> Iterator[tuple[str, ...]]:
    """Yield a row for every layer with weights."""
    shapes = plan.network.weight_shapes()
    kinds = {layer.name: layer for layer in plan.network.layers}
    for name in plan.network.weighted_layers():
        own = {weight: shape for weight, shape in shapes.items() if layer_of(weight) == name}
        is_trained = name in plan.trained
        first = next((plan.epochs(stage).start for stage in plan.stages if name in stage.layers), 1)
        training = "frozen" if not is_trained else "trained" if first == 1 else f"from epoch {first}"
        training = "fitted" if is_trained and plan.config.is_probe else training
        by_gradient = is_trained and not plan.config.is_probe
        rate = _rate(plan, name) if by_gradient else ""
        norm = ("batch statistics" if is_trained else "inference") if isinstance(kinds[name], BatchNorm) else ""
        loaded = "fresh" if name in plan.skip else "loaded"
        shape = shape_text(next(iter(own.values())))
        yield name, loaded, training, shape, f"{sum(map(prod, own.values())):,}", rate, norm


def _rate(plan: Plan, layer: str) -> str:
    """Return the learning rate of a layer at the start; with a solver, of its kernel and of its bias."""
    if not plan.solver:
        return f"{plan.config.learning_rate * plan.factors.get(layer, 1.0):g}"
    kernel, bias = (plan.solver.policy.rate(0) * plan.solver.rates[f"{layer}/{name}"] for name in ("kernel", "bias"))
    return f"{kernel:g}, bias {bias:g}"


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
    yield from groups_and_copies(dataset)


def groups_and_copies(dataset: Dataset) -> Iterator[str]:
    """Yield how many groups and copies there are, if any, and how many are in two splits."""
    if groups := dataset.by_group():
        alone = sum(not record.group for record in dataset.records)
        without = f" and {alone:,} images without a group" if alone else ""
        yield f"groups: {len(groups):,}{without}; in two splits: {len(dataset.divided_groups()) or 'none'}"
    if copies := dataset.by_copy():
        near = " or nearly identical" if dataset.copies else ""
        divided = sum(len({record.split for record in same}) > 1 for same in copies)
        images = sum(map(len, copies))
        groups_text = "1 group" if len(copies) == 1 else f"{len(copies):,} groups"
        yield f"copies: {images:,} images are identical{near} to others, in {groups_text}; in two splits: " + (
            f"{divided:,}" if divided else "none"
        )
