"""`train(config)`: check everything that can be wrong, settle the plan, then let `fit` do the work."""

import hashlib
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import __version__
from finetune.check.before_training import training_warnings
from finetune.config import AUTO, TrainConfig
from finetune.data.dataset import Dataset
from finetune.data.read_data import read_data
from finetune.errors import RunError, UsageError, WeightsError
from finetune.runs.provenance import versions
from finetune.runs.run import FACTS, Run
from finetune.system.quiet import import_tensorflow
from finetune.training.depth import plan_depth
from finetune.training.describe import describe
from finetune.training.frozen import frozen_digests
from finetune.training.plan import Plan, make_plan

if TYPE_CHECKING:
    from finetune.training.find_rate import FoundRate

logger = logging.getLogger(__name__)


def train(config: TrainConfig) -> Run:
    """Fine-tune a network as `config` says and return the run directory with everything it left.

    What is wrong with the options, the data and the weights raises a FinetuneError and leaves what stood at `out` as
    it was; an older run there is replaced when the first state of the new one is on disk. Ctrl-C after the first epoch
    keeps the best model so far. A training that was killed goes on with `resume`.
    """
    return _begin(config, Run.prepare(config.out, config.overwrite))


def resume(path: Path) -> Run:
    """Go on with the run at `path` from where it stopped, to the same bits as if it had never stopped.

    Raises RunError when it is no run, or when its pictures or its source weights have changed since it began.
    """
    run = Run(path)
    pending = run.pending()
    if pending is not None:
        return _begin(_options_of(path, pending), run)
    began = run.config()
    options = {name: value for name, value in began.items() if name not in FACTS}
    config = _options_of(path, options)
    with run.held(None):
        dataset, plan, config = _settle(config)
        for name, what in (("data_sha256", "the pictures"), ("source_weights", "the source weights")):
            if began.get(name) != _facts(plan, dataset)[name]:
                raise RunError(f"{what} have changed since the run began, so it cannot be resumed; start a new run")
        return _fit(config, plan, dataset, run)


def _options_of(path: Path, options: dict[str, Any]) -> TrainConfig:
    """Return the options that a run holds; raise RunError when somebody has edited them into what is none."""
    try:
        return TrainConfig.from_json({**options, "out": path})
    except UsageError as error:
        raise RunError(f"the options in {path} cannot be understood ({error}); start a new run") from None


def dry_run(config: TrainConfig) -> str:
    """Return the plan and what it would cost as text; nothing is trained, and nothing written but features."""
    Run.prepare(config.out, config.overwrite)
    dataset, plan, config = _settle(config)
    import_tensorflow()
    from finetune.networks.precision import resolve_precision
    from finetune.training.fit import estimate_stages

    costs = [f"cost of {layers}: {cost.describe()}" for layers, cost in estimate_stages(config, plan, dataset)]
    return "\n".join([describe(plan, config, dataset, resolve_precision(config.precision)), "", *costs])


def find_rate(config: TrainConfig) -> "FoundRate":
    """Try learning rates from small to large on the training images and leave a plot in the folder `out`."""
    run = Run.prepare(config.out, overwrite=False)
    dataset, plan, config = _settle(config)
    logger.info("plan: %s", plan.describe())
    import_tensorflow()
    from finetune.training.find_rate import range_test

    return range_test(config, plan, dataset, run.path)


def _begin(config: TrainConfig, run: Run) -> Run:
    """Train into a run that has not begun."""
    with run.held(config.to_json()):
        dataset, plan, config = _settle(config)
        logger.info("run: %s\nplan: %s", run.path, describe(plan, config, dataset))
        for line in training_warnings(dataset) if config.check else ():
            logger.warning("%s", line)
        for path, reason in dataset.skipped:
            logger.warning("skipped %s: %s", path, reason)
        return _fit(config, plan, dataset, run, {**config.to_json(), **_facts(plan, dataset)})


def _settle(config: TrainConfig) -> tuple[Dataset, Plan, TrainConfig]:
    """Read the data, choose the weights, and fill in what the options left open."""
    dataset = read_data(config.data, config.val_fraction)
    plan = plan_depth(config, dataset) if config.skip == (AUTO,) else make_plan(config, len(dataset.class_names))
    return dataset, plan, plan.settle(config)


def _facts(plan: Plan, dataset: Dataset) -> dict[str, Any]:
    """Return what config.json holds beside the options: where the run comes from."""
    source = {"name": plan.source.name, "sha256": plan.source.sha256}
    return {
        "source_weights": source,
        "version": __version__,
        "data_sha256": _digest(dataset),
        "versions": versions(),
        **({"cuts": [cut._asdict() for cut in plan.cuts]} if plan.cuts else {}),
    }


def _digest(dataset: Dataset) -> str:
    """Return one SHA-256 of all that training takes from the data: which bytes, which label, which side, what order."""
    lines = (f"{record.digest} {record.label} {record.split}\n" for record in dataset.records)
    return hashlib.sha256("".join([*lines, *dataset.class_names]).encode("utf-8", "surrogateescape")).hexdigest()


def _fit(config: TrainConfig, plan: Plan, dataset: Dataset, run: Run, options: Mapping[str, Any] | None = None) -> Run:
    """Let `fit` do the work; say of what stops it how to go on. `options` are those of a run that has yet to begin."""
    try:
        with ThreadPoolExecutor(1) as pool:
            before = pool.submit(frozen_digests, plan)  # on another core than the import, which takes longer
            import_tensorflow()  # only now, so that all errors before come at once
        from finetune.training.fit import fit

        return fit(config, plan, dataset, run, before.result(), options)
    except KeyboardInterrupt:
        raise RunError(f"interrupted; {_what_next(run)}") from None
    except (OSError, WeightsError) as error:
        said = f"{error.filename or run.path}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
        raise RunError(f"{said}; mend that, then {_what_next(run)}") from None


def _what_next(run: Run) -> str:
    if run.would_be_replaced:
        return f"train again: the older run in {run.path} is as it was"
    return f"finetune train --resume {run.path} goes on"
