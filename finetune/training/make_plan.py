"""From options and data to a plan: the weights, the fate of every layer, every default."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from finetune.choices import AS_TRAINED, MEAN_OF_DATA, Precision
from finetune.config import TrainConfig
from finetune.data.augment import MIRRORED, PAPER_LIGHTING, Augmentation, augmentation_of
from finetune.data.dataset import Dataset
from finetune.data.lighting import principal_components
from finetune.data.mean import mean_of_images
from finetune.data.preprocessing import with_changes
from finetune.errors import UsageError
from finetune.formats.read_weights import read_weights
from finetune.formats.tf_checkpoint import checkpoint_index
from finetune.formats.weights_file import WeightsFile
from finetune.networks import Network, build
from finetune.networks.initialize import Arrays, fresh_weights
from finetune.networks.layers import Dropout
from finetune.networks.precision import resolve_precision
from finetune.option_rules import flag
from finetune.pretrained.description import check_undescribed
from finetune.pretrained.infer import describe, network_like
from finetune.pretrained.load import load_weights
from finetune.pretrained.resolve import choose_weights
from finetune.pretrained.verify import warn_if_unverified
from finetune.runs.run import CONFIG, MODEL, open_run
from finetune.system.digest import sha256_of_file
from finetune.training.caffe_fit import (
    check_same_network,
    filled,
    fitted,
    fresh_layers,
    preprocessing_of,
    trained_layers,
)
from finetune.training.caffe_solver import CaffeSolver, read_solver, with_solver
from finetune.training.defaults import EPOCHS, LEVEL, Settled, settle
from finetune.training.plan import Plan, SourceWeights
from finetune.training.stage_spec import Stage, parse_stages


def make_plan(config: TrainConfig, dataset: Dataset) -> Plan:
    """Return the plan for training on `dataset`, with everything settled that `config` leaves open.

    For a probe the layer is still open, see `choose_probe`. Raises UsageError for options that do not fit the network,
    WeightsError for weights that cannot be had, DataError when too few images can be read.
    """
    paths = [record.path for record in dataset.records if record.split == "train"]
    plan = plan_layers(config, len(dataset.class_names), len(paths))
    if plan.config.mean == MEAN_OF_DATA:
        plan = _with_mean(plan, mean_of_images(paths, plan.network.preprocessing))
    return replace(plan, augmentation=_with_components(plan, paths)) if plan.augmentation.lighting else plan


def plan_layers(config: TrainConfig, num_classes: int, images: int = 1) -> Plan:
    """Return the plan as far as it does not depend on the images; the lighting's components are still missing.

    `images`: how many there are to train on; only a solver, which counts iterations, needs it.
    """
    solver = read_solver(config.solver) if config.solver else None
    if solver:
        config = with_solver(config, solver, images)
    config = replace(config, weights=_as_file(config.weights))
    path, name = choose_weights(config.weights, config.network)
    weights: Arrays = {}
    if path is None:
        network = _for_classes(build(config.network), num_classes, config, solver)
        network.check_layers(config.skip or (), "--skip")  # a mistyped name is an error even without weights
        skip = tuple(network.weighted_layers())
    else:
        file = _read(path, name, config)
        name = file.run.name if file.run else name
        network = _for_classes(network_like(file, config.network), num_classes, config, solver)
        skip = _skipped(config, network, solver)
        weights = load_weights(network, file, skip)
    stages = _stages(config, network, skip, solver)
    settled = settle(config, network, name, skip, stages)
    plan = Plan(
        config=settled,
        network=network,
        weights={**weights, **_fresh(config, network, skip, solver)},
        source=SourceWeights(name, sha256_of_file(path) if path else None),
        trainable=tuple(name for name in network.weighted_layers() if name in set(stages[-1].layers) - set(skip)),
        stages=stages,
        precision=_precision(config),
        augmentation=MIRRORED if config.is_probe else _augmentation(settled),
        solver=fitted(solver, network, images) if solver else None,
    )
    if not plan.trained:
        raise UsageError("nothing would be trained: name a layer to train fresh with --skip, or further with --train")
    if config.dropout is not None and not any(isinstance(layer, Dropout) for layer in plan.head):
        raise UsageError(
            f"--dropout sets the rate of the dropout layers among the trained layers, but {network.name} has none from "
            f"{plan.trained[0]} on; omit it, or train more layers"
        )
    plan.factors  # noqa: B018 (reports mistakes in --layer-lr now)
    return plan


def _as_file(weights: str) -> str:
    """Return the file that stands for a run or a checkpoint, so that the new run can be repeated and resumed."""
    if weights and Path(weights).is_dir():
        return str(open_run(Path(weights)).model)
    index = checkpoint_index(Path(weights))
    return weights if index == Path(weights) else str(index)


def _read(path: Path, name: str, config: TrainConfig) -> WeightsFile:
    """Return the weights in a file, described if they are the published ones of this name.

    Raises UsageError for an option that contradicts what a file says of its input. --resize does not: the new model
    states its own, and new layers learn from what they see.
    """
    file = describe(read_weights(path), name)
    if path.name == MODEL and (path.parent / CONFIG).is_file() and path.parent.name:
        file = replace(file, run=path.parent)  # all runs call their model alike
    warn_if_unverified(path)
    for option in ("mean", "interpolation"):
        if getattr(config, option) not in (None, AS_TRAINED):
            check_undescribed(file, flag(option))
    return file


def _precision(config: TrainConfig) -> Precision:
    """Return the precision of the frozen layers; a probe's out-of-fold metrics are those of float32, as in use."""
    return resolve_precision("float32" if config.is_probe and config.precision == "auto" else config.precision)


def _skipped(config: TrainConfig, network: Network, solver: CaffeSolver | None) -> tuple[str, ...]:
    """Return the layers that start fresh: those of --skip; without it, those of a solver's net, or the last."""
    if config.skip is not None:
        return network.check_layers(config.skip, "--skip")
    return fresh_layers(solver.net, network) if solver else tuple(network.weighted_layers()[-1:])


def _fresh(config: TrainConfig, network: Network, skip: tuple[str, ...], solver: CaffeSolver | None) -> Arrays:
    """Return starting values of the layers that are not loaded."""
    return filled(solver.net, network, skip, config.seed) if solver else fresh_weights(network, skip, config.seed)


def _stages(
    config: TrainConfig, network: Network, skip: tuple[str, ...], solver: CaffeSolver | None
) -> tuple[Stage, ...]:
    """Return which layers are trained when; without --stages, in one stage."""
    if config.stages:
        return parse_stages(config.stages, network, skip)
    asked = _trainable(network, config.train, skip)
    layers = trained_layers(solver.net, network, skip, asked) if solver else (*skip, *asked)
    return (Stage(layers, config.epochs or EPOCHS),)


def _trainable(network: Network, asked: tuple[str, ...], skip: tuple[str, ...]) -> tuple[str, ...]:
    """Return the layers of --train in forward order."""
    if asked == ("all",):
        return tuple(name for name in network.weighted_layers() if name not in skip)
    both = [name for name in asked if name in skip]
    if both:
        raise UsageError(f"{both[0]} is in --skip and in --train: skipped layers start fresh and are trained anyway")
    return network.check_layers(asked, "--train")


def _for_classes(network: Network, num_classes: int, config: TrainConfig, solver: CaffeSolver | None) -> Network:
    """Return the network with as many outputs as there are classes, and the preprocessing that the user asked for."""
    mean = AS_TRAINED if config.mean == MEAN_OF_DATA else config.mean  # for which the images are needed
    preprocessing = with_changes(network.preprocessing, config.resize, mean, config.interpolation)
    built = replace(build(network.name, {**network.options, "num_classes": num_classes}), preprocessing=preprocessing)
    if not solver:
        return built
    check_same_network(solver.net, built)
    return replace(built, preprocessing=preprocessing_of(solver.net, built, keep_resize=bool(config.resize)))


def _augmentation(config: Settled) -> Augmentation:
    """Return the augmentation that the options name; the components of its lighting are still missing."""
    lighting = PAPER_LIGHTING if config.lighting == "paper" else config.lighting
    return augmentation_of(config.augmentation or LEVEL, config.crop, config.flip, lighting, config.color_jitter)


def _with_components(plan: Plan, paths: Sequence[Path]) -> Augmentation:
    """Return the augmentation with the lighting's components, which come from the training images."""
    components = principal_components(paths, plan.network.preprocessing)
    if plan.config.lighting == "paper":
        components = components.as_in_paper()
    return replace(plan.augmentation, components=components)


def _with_mean(plan: Plan, mean: str) -> Plan:
    """Return the plan with this mean, in its options too: then resuming and repeating the run need not compute it."""
    preprocessing = with_changes(plan.network.preprocessing, mean=mean)
    network = replace(plan.network, preprocessing=preprocessing)
    return replace(plan, network=network, config=replace(plan.config, mean=mean))
