"""The `finetune` command: declare options, call one function, print. The only place that exits.

Nothing heavy is imported here: the help and every error about options come at once.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from finetune import __version__, cli_weights
from finetune.cli_benchmark import benchmark
from finetune.cli_evaluate import SOME_UNREADABLE, evaluate, report
from finetune.cli_summary import summary
from finetune.errors import FinetuneError, UsageError

if TYPE_CHECKING:
    from finetune.classifier import Prediction
    from finetune.run import Run

TYPER_INTERRUPTED = 130  # what Typer makes of Ctrl-C

app = typer.Typer(
    name="finetune",
    help="Fine-tune AlexNet on your own pictures, and classify with the result.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; every error of ours is one line on stderr and its exit code."""
    try:
        code = app(standalone_mode=False)
        if code == TYPER_INTERRUPTED:
            code = _fail("interrupted; nothing was finished", 1)
    except FinetuneError as error:
        code = _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        code = _fail(f"{error.format_message()} (finetune COMMAND --help lists the options)", error.exit_code)
    except BrokenPipeError:  # the reader of our output has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    print(f"finetune: error: {' '.join(message.split())}", file=sys.stderr)
    return code


class _StderrHandler(logging.Handler):
    """Prints to whatever stderr is now, so that lines stay above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def _set_up_logging(verbose: bool) -> None:
    logger = logging.getLogger("finetune")
    logger.handlers = [_StderrHandler()]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"finetune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    _set_up_logging(verbose=False)
    if context.invoked_subcommand is None:
        print(context.get_help())


Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", callback=_set_up_logging, help="Say more, TensorFlow's own messages included."),
]


def _layers(values: list[str]) -> tuple[str, ...]:
    """Return the layers named by options that may repeat and may hold several names with commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


@app.command()
def train(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with a folder per class, train/ and val/, or MNIST's files; or a list (.txt, .csv)."),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(help="Layers not loaded: they start fresh and are trained, e.g. fc7,fc8 [default: the last]"),
    ] = None,
    train: Annotated[
        list[str] | None, typer.Option(help="Layers that are loaded and trained further, or all. [default: none]")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Name of published weights, a file, none (from scratch), or auto.")
    ] = "auto",
    network: Annotated[str, typer.Option(help="The network to train.")] = "alexnet",
    out: Annotated[Path | None, typer.Option(help="Folder for the result. [default: runs/DATE_TIME]")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training pictures.")] = 30,
    batch_size: Annotated[int, typer.Option(help="Pictures per step.")] = 32,
    optimizer: Annotated[
        Literal["sgd", "adam", "adamw"] | None, typer.Option(help="[default: sgd; adam from scratch]")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Learning rate at the start; it falls to 0 along a cosine. [default: 0.001; less for adam]"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal results.")] = 0,
    val_fraction: Annotated[
        float, typer.Option(help="Share of each class kept for validation, if there is no val folder.")
    ] = 0.2,
    resize: Annotated[
        Literal["crop", "warp"] | None,
        typer.Option(
            help="crop: centre of the picture; warp: all of it, squeezed. [default: as the weights were trained]"
        ),
    ] = None,
    views: Annotated[
        int,
        typer.Option(
            help="Views of each training picture: 1 is as it is, more add random crops and flips, "
            "0 draws fresh ones every epoch."
        ),
    ] = 1,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="Arithmetic of the frozen layers; auto is bfloat16 where the hardware is fast at it."),
    ] = "auto",
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Keep the frozen layers' features for the next run.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out holds.")] = False,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run from its last epoch; takes no other option.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Re-train the layers you name on your pictures, keep the rest, and leave a classifier in a run directory."""
    from finetune.config import TrainConfig
    from finetune.training.train import resume as resume_run
    from finetune.training.train import train as train_run

    if resume:
        _refuse_others(context, "resume", "verbose")
        _tell_run(resume_run(resume))
        return
    if data is None:
        raise UsageError("--data is missing: name a folder with a folder of pictures per class")
    config = TrainConfig(
        data=data,
        out=out,
        network=network,
        weights=weights,
        skip=_layers(skip) if skip else None,
        train=_layers(train or []),
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        seed=seed,
        val_fraction=val_fraction,
        resize=resize,
        views=views,
        precision=precision,
        cache=cache,
        overwrite=overwrite,
    )
    _tell_run(train_run(config))


def _refuse_others(context: typer.Context, *allowed: str) -> None:
    """Raise UsageError when options other than `allowed` were given: they would be passed over in silence."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in allowed and source and source.name == "COMMANDLINE":
            raise UsageError(f"--{allowed[0]} takes no other option, but --{name.replace('_', '-')} was given")


def _tell_run(run: "Run") -> None:
    """Print what a training left and what to do next; end with 1 when it was interrupted."""
    metrics = run.metrics()
    best, epochs = metrics["best_epoch"], metrics["epochs"]
    print(f"validation accuracy {100 * metrics['val_accuracy']:.1f} % (epoch {best} of {epochs})")
    print(f"model {run.model}")
    print(f"next: finetune predict IMAGE --model {run.path}")
    if metrics["interrupted"]:
        raise typer.Exit(1)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Pictures to classify.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Run directory, model or weights file, or name of published weights. "
            "[default: the newest run in ./runs, else bvlc_alexnet, else starter]"
        ),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="The network in the file, where several fit, e.g. caffenet.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")] = False,
    verbose: Verbose = False,
) -> None:
    """Classify pictures: the most probable classes of each, one row for every picture, in order."""
    from finetune.classifier import load

    unreadable = False
    for prediction in load(model, network).predict(images, top=top):
        unreadable |= prediction.error is not None
        print(json.dumps(prediction.to_json()) if as_json else _table(prediction), flush=True)
    if unreadable:
        raise typer.Exit(SOME_UNREADABLE)


def _table(prediction: "Prediction") -> str:
    if prediction.error:
        return f"{prediction.path}\n     not read: {prediction.error}"
    rows = [
        f"{rank:4}  {score.probability:7.2%}  {score.label}" for rank, score in enumerate(prediction.scores, start=1)
    ]
    return "\n".join([str(prediction.path), *rows])


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the drawn pictures and the run; it must not exist.")] = Path(
        "finetune-demo"
    ),
    verbose: Verbose = False,
) -> None:
    """Draw a small folder of pictures, fine-tune on it, classify a held-out one. Under a minute, no download."""
    from finetune.demo import run_demo

    run_demo(out)


app.add_typer(cli_weights.app, name="weights")
app.command()(summary)
app.command()(benchmark)
app.command()(evaluate)
app.command()(report)
