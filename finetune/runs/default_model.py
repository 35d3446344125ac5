"""The model that is used when the user names none, and why."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from finetune.errors import RunError
from finetune.pretrained.locate import find
from finetune.runs.run import Run, runs_with_model

logger = logging.getLogger(__name__)


class DefaultModel(NamedTuple):
    """A reference, as for `open_model`, and the words that say why it is this one and how to choose another."""

    ref: Path | str
    why: str


def named_or_default(ref: str | Path | None) -> str | Path:
    """Return `ref`, or the default model if it is None; the log says which, and why."""
    if ref is not None:
        return ref
    default = default_model()
    logger.info("model %s, %s", *default)
    return default.ref


def default_model() -> DefaultModel:
    """Return the newest run in ./runs, otherwise the published AlexNet if its file is present, otherwise starter."""
    if runs := runs_with_model():
        count = f"the newest of {len(runs)} runs here" if len(runs) > 1 else "the only run here"
        return DefaultModel(runs[0].path, f"{count}{_interrupted(runs[0])}; --model starter for ImageNet's classes")
    if find("bvlc_alexnet"):
        return DefaultModel("bvlc_alexnet", "as there is no run here; --model RUN for another")
    return DefaultModel("starter", "as there is no run here, and bvlc_alexnet is not on this machine")


def _interrupted(run: Run) -> str:
    with suppress(RunError):  # metrics that cannot be read do not keep the model from being used
        if run.metrics().get("interrupted"):
            return ", interrupted before its end (finetune train --resume continues it)"
    return ""
