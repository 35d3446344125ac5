"""`finetune train`: its options are the fields of TrainConfig, said once, there."""

import inspect
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetune.cli.options import completes
from finetune.cli.output import Verbose
from finetune.config import TrainConfig, flag
from finetune.errors import UsageError

if TYPE_CHECKING:
    from finetune.runs.run import Run


def train(context: typer.Context, **options: Any) -> None:
    """Re-train the layers you name on your pictures, keep the rest, and leave a classifier in a run directory."""
    from finetune.cli.config_file import read_config

    options.pop("verbose")
    resume, file = options.pop("resume"), options.pop("config")
    dry_run, find_lr = options.pop("dry_run"), options.pop("find_lr")
    given = {name: value for name, value in options.items() if _given(context, name)}
    if resume:
        _refuse_others(context, "resume", "verbose")
        from finetune.training.train import resume as resume_run

        _tell_run(resume_run(resume))
        return
    if dry_run and find_lr:
        raise UsageError("--dry-run and --find-lr cannot both be given: one trains nothing, the other a little")
    config = TrainConfig.from_json({**(read_config(file) if file else {}), **given})
    if dry_run:
        from finetune.training.train import dry_run as show_plan

        print(show_plan(config))
    elif find_lr:
        from finetune.training.train import find_rate

        found = find_rate(config)
        print(f"suggested: --learning-rate {found.suggestion:.2g}")
        print(f"plot {found.plot}")
    else:
        from finetune.training.train import train as train_run

        _tell_run(train_run(config))


def _parameters() -> list[inspect.Parameter]:
    """Return one parameter for every field of TrainConfig, as Typer reads them from a function."""
    parameters = []
    for option in fields(TrainConfig):
        default = None if option.default is MISSING or option.default == () else option.default
        kind: Any = option.type
        if "tuple" in str(kind):
            kind = list[str] | None  # Typer's way to let an option repeat
        elif default is None:
            kind = kind | None
        names = [flag(option.name)] if default is False else []  # no --no-… for what is off anyway
        known = option.metadata.get("names")
        made = typer.Option(*names, help=option.metadata["help"], autocompletion=completes(*known) if known else None)
        parameters.append(_parameter(option.name, kind, made, default))
    return parameters


def _extra() -> list[inspect.Parameter]:
    """Return what `finetune train` takes beside a run's options."""
    config = typer.Option(help="File with options under these names (TOML, or a run's config.json); options win.")
    resume = typer.Option(help="Go on with this run from where it stopped; takes no other option.")
    dry_run = typer.Option("--dry-run", help="Show what would be trained and what it would cost; train nothing.")
    find_lr = typer.Option("--find-lr", help="Try learning rates from small to large, plot the loss, suggest one.")
    return [
        _parameter("config", Path | None, config, None),
        _parameter("resume", Path | None, resume, None),
        _parameter("dry_run", bool, dry_run, False),
        _parameter("find_lr", bool, find_lr, False),
        inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, annotation=Verbose, default=False),
    ]


def _parameter(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option], default=default)


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _refuse_others(context: typer.Context, *allowed: str) -> None:
    """Raise UsageError when other options than `allowed` stand on the command line: they would be passed over."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in allowed and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"{flag(allowed[0])} takes no other option, but {flag(name)} was given")


def _tell_run(run: "Run") -> None:
    """Print what a training left and what to do next; end with 1 when it was interrupted."""
    metrics = run.metrics()
    best, epochs = metrics["best_epoch"], metrics["epochs"]
    print(f"validation accuracy {100 * metrics['val_accuracy']:.1f} % (epoch {best} of {epochs})")
    print(f"model {run.model}")
    print(f"next: finetune predict IMAGE --model {run.path}")
    if metrics["interrupted"]:
        raise typer.Exit(1)


# Typer reads the options from the signature: the context, a run's options, and what only the command line takes.
train.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *_parameters(),
        *_extra(),
    ]
)
