"""`train(config)`: a whole training, from the options to the report."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import __version__
from finetune.check.before_training import training_warnings
from finetune.check.copies_together import keep_copies_together
from finetune.choices import Engine
from finetune.config import TrainConfig
from finetune.data.dataset import Dataset
from finetune.data.read_data import read_data
from finetune.errors import InterruptionError, RunError, UsageError, WeightsError, WorkerError
from finetune.evaluation.assess import assess
from finetune.evaluation.report import with_thumbnails, write_report
from finetune.model import Model
from finetune.option_rules import LAYERS, flag
from finetune.runs.read_run import read_classes
from finetune.runs.run import FACTS, Run
from finetune.system.quiet import import_tensorflow
from finetune.training.caffe_solver import read_solver
from finetune.training.choose_probe import choose_probe
from finetune.training.defaults import SGD_LEARNING_RATE, VAL_FRACTION
from finetune.training.describe import describe, probe_table, summary_line
from finetune.training.facts import check_unchanged
from finetune.training.frozen import changed, frozen_digests
from finetune.training.make_plan import make_plan
from finetune.training.opening import opening
from finetune.training.plan import Plan
from finetune.training.skipped import warn_of_skipped

if TYPE_CHECKING:
    from finetune.training.find_rate import FoundRate
    from finetune.training.outcome import Outcome

logger = logging.getLogger(__name__)


def train(config: TrainConfig) -> Run:
    """Fine-tune a network as `config` says and return the run directory with everything in it.

    Wrong options, data and weights raise a FinetuneError and leave `out` as it was; an older run there is replaced
    when the first state of the new one is on disk. Ctrl-C after the first epoch keeps the last whole epoch or,
    with patience, the best so far. A training that was stopped continues with `resume`.
    """
    (run,) = start(config)
    return run


def resume(path: Path) -> Run:
    """Continue the run at `path` from where it stopped, to the same bits as if it had never stopped.

    Raises RunError when it is not a run, or when its images or its source weights have changed since it started.
    """
    (run,) = proceed(path)
    return run


def start(config: TrainConfig, engine: Engine = "local", address: str | None = None, workers: int = 1) -> Iterator[Run]:
    """Train as `train` does; yield the run once, when it has its results and before its report is drawn.

    `engine`: "ray" computes the features of frozen layers on the Ray cluster at `address`, or on one that is started on
    this machine. The run is the same, and either engine can continue what the other started. `workers`: how many
    compute a part of every batch each, in training by gradient: with Ray on its machines, otherwise on this one.
    """
    return _train(config, Run.create(config.out, config.overwrite), None, engine, address, workers)


def proceed(path: Path, engine: Engine = "local", address: str | None = None, workers: int = 1) -> Iterator[Run]:
    """Continue as `resume` does; yield the run once, when it has its results and before its report is drawn."""
    run = Run(path)
    pending = run.pending()
    started = run.config() if pending is None else None
    options = pending or {name: value for name, value in (started or {}).items() if name not in FACTS}
    try:
        config = TrainConfig.from_json({**options, "out": path})
    except UsageError as error:
        raise RunError(f"the options in {path} are invalid ({error}); start a new run") from None
    return _train(config, run, started, engine, address, workers)


def _train(
    config: TrainConfig,
    run: Run,
    started: Mapping[str, Any] | None,
    engine: Engine,
    address: str | None,
    workers: int,
) -> Iterator[Run]:
    """Train into a run, and yield it; `started` is the config.json of one that is resumed after its first state."""
    if address is not None and engine != "ray":
        raise UsageError("--address is only for --engine ray; omit it")
    if workers > 1 and config.is_probe:
        raise UsageError(
            "--workers is for training by gradient, as with --skip, --train or --stages; omit it for a probe"
        )
    with run.locked(config.to_json() if started is None else None), ExitStack() as cluster:
        plan, dataset = _plan(config)
        if workers > plan.config.batch_size:
            raise UsageError(f"--workers {workers}: expected at most {plan.config.batch_size}, the images of a batch")
        plan = replace(plan, engine=engine, workers=workers)
        if started is None:
            _announce(run, plan, dataset)
        if engine == "ray":
            from finetune.system.ray_cluster import connected

            cluster.enter_context(connected(address))
        if config.is_probe:
            plan, dataset = _choose(plan, dataset)  # which layer it reads, by cross-validation
        if started is not None:
            check_unchanged(started, read_classes(run), plan, dataset)
        with _saying_how_to_continue(run):
            before = frozen_digests(plan)
            import_tensorflow()  # only now, so that all errors before it come at once
            from finetune.training.compare_probe import compare_with_probe
            from finetune.training.probe import fit_probe
            from finetune.training.stages import train_stages

            if plan.probe:
                outcome = fit_probe(plan, plan.probe, dataset, run, resumed=started is not None)
            else:
                outcome = train_stages(plan, dataset, run, resumed=started is not None)  # features → head → epochs
            model = _write_model(run, plan, outcome)
            _write_metrics(run, plan, outcome, moved=changed(before, run.model))
            _write_evaluation(run, model, outcome)
            yield run
            compared = not plan.probe and not outcome.interrupted
            if compared and (line := compare_with_probe(plan, outcome.dataset)):
                logger.info("%s", line)
            write_report(run.path)


def _plan(config: TrainConfig, because: str = "") -> tuple[Plan, Dataset]:
    """Return the plan and the images in their splits; none divides copies or groups, but those of the data may.

    `because`: the option for which it is a training by gradient, if that is not an option of the run.
    For a probe, none is held out for validation unless asked for: cross-validation measures on every image.
    """
    if config.solver:
        read_solver(config.solver)  # now, so that a mistake in it is reported before the images are read
    data = read_data(config.data, config.val_fraction or VAL_FRACTION, config.group_by, config.cache)
    dataset = keep_copies_together(data, config.cache)
    if config.is_probe and config.val_fraction is None:
        dataset = dataset.all_to_train()
    plan = make_plan(config, dataset)  # weights, layers, stages, precision, every default: settled here, once
    if not config.is_probe and config.weights != "none" and not set(config.by_gradient) & {*LAYERS, "solver"}:
        logger.info(
            "%s is for training by gradient, so %s starts fresh and is trained, as with --skip; without it, a linear "
            "probe is fitted",
            because or flag(config.by_gradient[0]),
            plan.skip[-1],
        )
    return plan, dataset


def dry_run(config: TrainConfig) -> str:
    """Return the plan and its cost as text; nothing is trained, and nothing is written but features."""
    Run.create(config.out, config.overwrite)
    plan, dataset = _plan(config)
    _warn(plan, dataset)
    if config.is_probe:
        plan, readable = choose_probe(plan, dataset)
        warn_of_skipped(readable.skipped[len(dataset.skipped) :])
        return describe(plan, readable)
    import_tensorflow()
    from finetune.training.stages import estimate_stages

    costs = [f"cost of {layers}: {cost.describe()}" for layers, cost in estimate_stages(plan, dataset)]
    return "\n".join([describe(plan, dataset), "", *costs])


def find_rate(config: TrainConfig) -> "FoundRate":
    """Try learning rates from small to large on the training images, and write a plot to the folder `out`."""
    if config.probe is not None:
        raise UsageError("--find-lr tries learning rates, and a linear probe has none; omit --probe or --find-lr")
    if config.solver is not None:
        raise UsageError("--find-lr tries learning rates, and --solver has its own; omit one of them")
    by_gradient = replace(config, learning_rate=SGD_LEARNING_RATE) if config.is_probe else config
    run = Run.create(config.out, overwrite=False)
    plan, dataset = _plan(by_gradient, "--find-lr" if config.is_probe else "")
    logger.info("plan: %s", summary_line(plan))
    import_tensorflow()
    from finetune.training.find_rate import range_test

    return range_test(plan, dataset, run.path)


def _choose(plan: Plan, dataset: Dataset) -> tuple[Plan, Dataset]:
    """Return the plan of a probe with its layer chosen, and the readable images; log what it was chosen from."""
    plan, readable = choose_probe(plan, dataset)
    warn_of_skipped(readable.skipped[len(dataset.skipped) :])
    if plan.probe:
        logger.info("%s", probe_table(plan.probe))
    return plan, readable


def _announce(run: Run, plan: Plan, dataset: Dataset) -> None:
    """Log what will be done in a few lines, and warn of what will hurt training."""
    logger.info("%s", opening(plan, dataset, run))
    _warn(plan, dataset)


def _warn(plan: Plan, dataset: Dataset) -> None:
    """Warn of what will hurt training, and of images that are skipped."""
    for line in training_warnings(dataset) if plan.config.check else ():
        logger.warning("%s", line)
    warn_of_skipped(dataset.skipped)


@contextmanager
def _saying_how_to_continue(run: Run) -> Iterator[None]:
    """Turn what stops a training into a RunError that says how to continue."""
    kind = RunError
    try:
        yield
    except KeyboardInterrupt:
        reason, kind = "interrupted", InterruptionError
    except OSError as error:
        reason = f"{error.filename or run.path}: {error.strerror or error}; fix that"
    except WeightsError as error:
        reason = f"{error}; fix that"
    except WorkerError as error:
        reason = str(error)
    else:
        return
    if run.would_be_replaced:
        raise kind(f"{reason}; train again: the older run in {run.path} is as it was") from None
    raise kind(f"{reason}; continue with finetune train --resume {run.path}") from None


def _write_model(run: Run, plan: Plan, outcome: "Outcome") -> Model:
    """Write the model with its temperature, and return it."""
    about = {
        "source_weights": plan.source._asdict(),
        "version": __version__,
        "temperature": outcome.temperature,
        "metrics": _metrics(plan, outcome),
    }
    model = Model(plan.network, outcome.weights, outcome.dataset.class_names, about)
    run.write_model(model)
    return model


def _write_metrics(run: Run, plan: Plan, outcome: "Outcome", moved: list[str]) -> None:
    """Write metrics.json; raise RunError when a frozen tensor has `moved`."""
    run.write_metrics({**_metrics(plan, outcome), "frozen": {"tensors": len(plan.frozen), "changed": moved}})
    if moved:
        raise RunError(f"frozen layers have changed in training: {', '.join(moved)}; this is a bug, please report it")


def _write_evaluation(run: Run, model: Model, outcome: "Outcome") -> None:
    """Write evaluation.json: the metrics of the model on the images in `judged`, and thumbnails for the report."""
    images = [(record.path, record.label) for record in outcome.judged]
    evaluation = assess(images, outcome.logits, model.class_names, outcome.temperature)
    run.write_evaluation(with_thumbnails(replace(evaluation, kept=outcome.metrics["kept"]).to_json()))


def _metrics(plan: Plan, outcome: "Outcome") -> dict[str, Any]:
    """Return the outcome's metrics, how many images there are, and the precision of the frozen layers."""
    dataset = outcome.dataset
    return {
        **outcome.metrics,
        "images": {**Counter(record.split for record in dataset.records), "skipped": len(dataset.skipped)},
        "precision": plan.precision,
    }
