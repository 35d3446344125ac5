"""`finetune train`. Its options are the fields of TrainConfig, which states each one's default, help and range."""

import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetune.choices import LightingOption
from finetune.cli.options import Address, EngineOption, Verbose, completes
from finetune.cli.safe_text import printable
from finetune.cli.terminal import show
from finetune.config import TrainConfig
from finetune.errors import InterruptionError, UsageError
from finetune.option_rules import flag
from finetune.system.option import PANELS
from finetune.system.table import table
from finetune.system.text import percent

if TYPE_CHECKING:
    from finetune.runs.run import Run

MACHINES = ("engine", "address", "workers")  # options of where a run is computed, which are not part of it


def train(context: typer.Context, **options: Any) -> None:
    """Train on your images, and write a run directory with the model.

    Without an option that names layers, a linear probe is fitted: one new layer on frozen ones. With --skip, --train or
    --stages, the layers you name are trained by gradient, and all others stay frozen.

    Examples:
      finetune train --data images --out runs/insects
      finetune train --data images --skip fc7,fc8 --epochs 20
    """
    if options["resume"]:
        _refuse_others(context, "resume", *MACHINES, "verbose")
        from finetune.training.train import proceed

        _print_results(proceed(options["resume"], *(options[name] for name in MACHINES)))
        return
    if options["dry_run"] and options["find_lr"]:
        raise UsageError("--dry-run and --find-lr cannot both be given: one trains nothing, the other a little")
    if (options["dry_run"] or options["find_lr"]) and (options["engine"] != "local" or options["workers"] > 1):
        raise UsageError("--dry-run and --find-lr compute in one process; omit --engine and --workers")
    config = _config(context, options)
    from finetune.training import train as training  # only now, since it imports NumPy

    if options["dry_run"]:
        show("\n".join(map(printable, training.dry_run(config).split("\n"))))
    elif options["find_lr"]:
        found = training.find_rate(config)
        print(f"suggested: --learning-rate {found.suggestion:.2g}")
        print(f"plot {found.plot}")
    else:
        _print_results(training.start(config, *(options[name] for name in MACHINES)))


def _config(context: typer.Context, options: Mapping[str, Any]) -> TrainConfig:
    """Return the options of the run: those of --config, overridden by the environment and the command line."""
    from finetune.cli.config_file import read_config

    known = {option.name for option in fields(TrainConfig)}
    given = {name: value for name, value in options.items() if name in known and _source(context, name) != "DEFAULT"}
    from_file = read_config(options["config"]) if options["config"] else {}
    return TrainConfig.from_json({**from_file, **given})


def _refuse_others(context: typer.Context, *allowed: str) -> None:
    """Raise UsageError if the command line has options that are not `allowed`; they would be ignored."""
    for name in context.params:
        if name not in allowed and _source(context, name) == "COMMANDLINE":
            raise UsageError(f"{flag(allowed[0])} takes no other option, but {flag(name)} was given")


def _source(context: typer.Context, name: str) -> str:
    """Return where the value of an option comes from: COMMANDLINE, ENVIRONMENT or DEFAULT."""
    source = context.get_parameter_source(name)
    return source.name if source else "DEFAULT"


def _print_results(training: "Iterator[Run]") -> None:
    """Train; print what was reached and what to do next before the report is drawn."""
    results = sys.stdout  # while Ray is connected, sys.stdout is stderr
    for run in training:
        print(_results(run), file=results, flush=True)
    if run.metrics()["interrupted"]:
        raise InterruptionError(f"interrupted; continue with finetune train --resume {run.path}")


def _results(run: "Run") -> str:
    """Return what was trained, how good it is, where it is, and what to do next, as lines."""
    from finetune.runs.overview import overview

    metrics, found = run.metrics(), overview(run.path)
    epochs = f"; epoch {metrics['best_epoch']} of {metrics['epochs']}, the {metrics['kept']}" if found.epochs else ""
    rows = [("trained", f"{found.trained}{epochs}")]
    if found.results:
        low, high = found.results.interval
        interval = f"95 % interval: {percent(low)} to {percent(high)}"
        images = f"{found.results.images:,} {metrics.get('judged', 'validation images')}"
        rows += [("accuracy", f"{percent(found.results.accuracy)} ({interval})"), ("", f"of {images}")]
    rows += [
        ("model", str(run.model)),
        ("report", str(run.report)),
        ("next", f"finetune predict IMAGE --model {run.path}"),
        ("", f"finetune evaluate {run.path} --data IMAGES"),
    ]
    return table("ll", rows)


def _config_parameters() -> list[inspect.Parameter]:
    """Return one parameter for every field of TrainConfig, as Typer reads them from a function."""
    parameters = []
    for option in sorted(fields(TrainConfig), key=lambda option: PANELS.index(option.metadata["panel"])):
        default = None if option.default is MISSING or option.default == () else option.default
        kind: Any = option.type
        if "tuple" in str(kind):
            kind = list[str] | None  # for Typer, an option that can be repeated
        elif kind == LightingOption | None:
            kind = str | None  # Typer knows no unions; the config makes a number of it
        elif default is None:
            kind = kind | None
        names = [flag(option.name)] if default is False else []  # no --no-… for options that are off by default
        known = option.metadata["names"]
        made = typer.Option(
            *names,
            help=option.metadata["help"],
            metavar=option.metadata["metavar"],
            rich_help_panel=option.metadata["panel"],
            autocompletion=completes(*known) if known else None,
        )
        parameters.append(_parameter(option.name, kind, made, default))
    return parameters


def _command_line_parameters() -> list[inspect.Parameter]:
    """Return the options of `finetune train` that are not part of a run's options."""
    of_run = partial(typer.Option, rich_help_panel=PANELS[-1])
    config = of_run(
        metavar="FILE",
        help="Read these options from a TOML file, or from the config.json of a run; the command line wins.",
    )
    resume = of_run(metavar="RUN", help="Resume this run where it stopped; takes no other option.")
    dry_run = of_run("--dry-run", help="Show what would be trained and what it would cost, without training.")
    find_lr = of_run(
        "--find-lr", help="Try learning rates from small to large on your images, plot the loss, and suggest one."
    )
    workers = typer.Option(
        metavar="N",
        min=1,
        help="Train with this many workers, each of which computes a part of every batch: GPUs of this machine, "
        "processes if it has none, or with --engine ray processes on its machines.",
    )
    return [
        _parameter("config", Path | None, config, None),
        _parameter("resume", Path | None, resume, None),
        _parameter("dry_run", bool, dry_run, False),
        _parameter("find_lr", bool, find_lr, False),
        _shared("engine", EngineOption, "local"),
        _shared("address", Address, None),
        _parameter("workers", int, workers, 1),
        _shared("verbose", Verbose, False),
    ]


def _parameter(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option], default=default)


def _shared(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """Return a parameter for an option that other commands have too."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


# Typer reads the options from the signature.
train.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *_config_parameters(),
        *_command_line_parameters(),
    ]
)
