"""`train(config)`: check everything that can be wrong, settle the plan, then let `fit` do the work."""

import logging
from pathlib import Path
from typing import Any

from finetune.config import TrainConfig
from finetune.data.read import read_data
from finetune.quiet import import_tensorflow
from finetune.run import Run
from finetune.training.plan import make_plan

logger = logging.getLogger(__name__)

FACTS = ("source_weights", "data_sha256", "version", "versions")  # what config.json holds beside the options


def train(config: TrainConfig) -> Run:
    """Fine-tune a network as `config` says and return the run directory with everything it left.

    Everything that can be wrong with the options, the data and the weights raises a FinetuneError before the first
    file is written. Ctrl-C after the first epoch keeps the best model so far.
    """
    return _train(config, Run.prepare(config.out, config.overwrite), began=None)


def resume(path: Path) -> Run:
    """Go on with the run at `path` from its last epoch, to the same bits as if it had never stopped.

    Raises RunError when it is no run, or when its pictures or its source weights have changed since it began.
    """
    run = Run(path)
    began = run.config()
    options = {name: value for name, value in began.items() if name not in FACTS}
    return _train(TrainConfig.from_json({**options, "out": path}), run, began)


def _train(config: TrainConfig, run: Run, began: dict[str, Any] | None) -> Run:
    dataset = read_data(config.data, config.val_fraction)
    plan = make_plan(config, len(dataset.class_names))
    logger.info("plan: %s", plan.describe())
    # TensorFlow only from here on, so that all errors above come at once.
    import_tensorflow()
    from finetune.training.fit import fit

    return fit(config, plan, dataset, run, began)
