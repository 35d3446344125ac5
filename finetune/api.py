"""`finetune.train`: takes the options by name or as a TrainConfig, whose fields give its signature and its help."""

import inspect
from dataclasses import MISSING, Field, fields
from pathlib import Path
from textwrap import fill
from typing import Any, Literal, get_args, get_origin

from finetune.config import TrainConfig
from finetune.errors import UsageError
from finetune.runs.run import Run
from finetune.training import train as training


def train(config: TrainConfig | None = None, /, **options: Any) -> Run:
    """Fine-tune a network on your images, and return the run directory with the model and everything about it.

        run = finetune.train(data="images", out="runs/insects")
        run = finetune.train(finetune.TrainConfig(data=Path("images"), out=Path("runs/insects")))

    Give the options by name or, where a type checker is to see them, as a TrainConfig. The plan and the progress go to
    the log "finetune" at level INFO.

    Wrong options, data and weights raise a FinetuneError and leave `out` as it was; an older run there is replaced when
    the first state of the new one is on disk. Ctrl-C after the first epoch keeps the last whole epoch or, with
    patience, the best so far.

    The options are those of the command `finetune train`, with its help (--batch-size is batch_size here):
    """
    if config is None:
        return training.train(TrainConfig.from_json(options))
    if not isinstance(config, TrainConfig):
        raise UsageError(f"expected a TrainConfig or options by name, got {config!r}; write train(data=…)")
    if options:
        raise UsageError(
            f"expected a TrainConfig or options by name, got both; give {', '.join(options)} to the TrainConfig"
        )
    return training.train(config)


def _parameter(option: Field[Any]) -> inspect.Parameter:
    default = inspect.Parameter.empty if option.default is MISSING else option.default
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default)


def _help(option: Field[Any]) -> str:
    """Return the lines about an option: its name, type and default, and its help."""
    default = "" if option.default is MISSING else f" = {option.default!r}"
    about = fill(option.metadata["help"], 110, initial_indent="    ", subsequent_indent="    ")
    return f"{option.name}: {_kind(option.type)}{default}\n{about}"


def _kind(kind: Any) -> str:
    """Return the types and values that an option takes by name.

    >>> _kind(Path), _kind(Literal["none", "balanced"]), _kind(tuple[str, ...] | None)
    ('Path | str', "'none' | 'balanced'", 'list[str] | str | None')
    """
    if get_origin(kind) is Literal:
        return " | ".join(map(repr, get_args(kind)))
    if get_origin(kind) is tuple:
        return "list[str] | str"  # text with commas
    if get_args(kind):  # a union
        return " | ".join(map(_kind, get_args(kind)))
    return {Path: "Path | str", type(None): "None"}.get(kind, kind.__name__)


_config = inspect.Parameter("config", inspect.Parameter.POSITIONAL_ONLY, default=None)
train.__signature__ = inspect.Signature([_config, *map(_parameter, fields(TrainConfig))])  # type: ignore[attr-defined]
train.__doc__ = "\n".join([inspect.cleandoc(train.__doc__ or ""), "", *map(_help, fields(TrainConfig))])
