"""The `finetune` command: declare options, call one function, print. The only place that exits.

Nothing heavy is imported here: the help and every error about options come at once.
"""

import logging
import signal
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer import completion
from typer.main import get_command

from finetune import __version__
from finetune.cli import weights as weights_commands
from finetune.cli.benchmark import benchmark
from finetune.cli.check import check
from finetune.cli.environment import name_variables, unread_variables
from finetune.cli.evaluate import evaluate, report
from finetune.cli.explain import explain, filters
from finetune.cli.export import export
from finetune.cli.failures import tell
from finetune.cli.output import Verbose, set_up_logging
from finetune.cli.predict import predict
from finetune.cli.score import score
from finetune.cli.summary import summary
from finetune.cli.train import train

logger = logging.getLogger(__name__)

TYPER_INTERRUPTED = 130  # what Typer makes of Ctrl-C

app = typer.Typer(
    name="finetune",
    help="Fine-tune AlexNet on your own pictures, and classify with the result.",
    epilog="The environment sets defaults: FINETUNE_TRAIN_EPOCHS=10 is --epochs 10 for every finetune train.",
    invoke_without_command=True,
    add_completion=False,  # Typer's own asks which shell runs it; ours is told
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; every error is one line on stderr and its exit code."""
    for stream in (sys.stdout, sys.stderr):  # names of files that this terminal cannot show, or that are no text
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        completion.completion_init()  # type: ignore[attr-defined]
        code = _command()(prog_name="finetune", standalone_mode=False)
        if code == TYPER_INTERRUPTED:
            raise KeyboardInterrupt
        if sys.stdout:
            sys.stdout.flush()  # here, where a full disk or a reader that has gone can still be told
    except (Exception, KeyboardInterrupt) as error:
        code = tell(error)
    sys.exit(code)


def _interrupt(*_: object) -> NoReturn:
    """End like Ctrl-C when somebody asks politely; the second time at once."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise KeyboardInterrupt


def _command() -> Any:
    """Return the whole command line, whose options have their defaults from the environment."""
    command = get_command(app)
    name_variables(command)
    return command


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    print(f"finetune {__version__}")
    # Their metadata, because importing them takes seconds. The same library can come under several names.
    for name, packages in (
        ("TensorFlow", ("tensorflow", "tensorflow-cpu")),
        ("Keras", ("keras",)),
        ("OpenCV", ("opencv-python", "opencv-python-headless", "opencv-contrib-python")),
    ):
        print(f"{name} {next(filter(None, map(_version_of, packages)), 'of unknown version')}")
    raise typer.Exit


def _version_of(package: str) -> str | None:
    try:
        return version_of(package)
    except PackageNotFoundError:
        return None


Shell = Literal["bash", "zsh", "fish", "powershell"]


def _show_completion(shell: str | None) -> None:
    if shell:
        script = completion.get_completion_script(  # type: ignore[attr-defined]
            prog_name="finetune", complete_var="_FINETUNE_COMPLETE", shell=shell
        )
        print(script)
        raise typer.Exit


def _install_completion(shell: str | None) -> None:
    if shell:
        _, path = completion.install(  # type: ignore[attr-defined]
            shell, prog_name="finetune", complete_var="_FINETUNE_COMPLETE"
        )
        print(path)
        raise typer.Exit


def _eager(flag: str, callback: Any, help: str) -> Any:
    """Return an option that does its own work at once."""
    return typer.Option(flag, callback=callback, is_eager=True, help=help)


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, _eager("--version", _show_version, "Show the versions of finetune, TensorFlow, Keras and OpenCV.")
    ] = False,
    show_completion: Annotated[
        Shell | None, _eager("--show-completion", _show_completion, "Show what makes this shell complete words.")
    ] = None,
    install_completion: Annotated[
        Shell | None, _eager("--install-completion", _install_completion, "Add that to the shell's start-up file.")
    ] = None,
) -> None:
    set_up_logging(verbose=False)
    for line in unread_variables(context.command):
        logger.warning("%s", line)
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the drawn pictures and the run; it must not exist.")] = Path(
        "finetune-demo"
    ),
    verbose: Verbose = False,
) -> None:
    """Draw a small folder of pictures, fine-tune on it, classify a held-out one. Under a minute, no download."""
    from finetune.cli.demo import run_demo

    run_demo(out)


app.command()(train)
app.command()(predict)
app.command()(score)
app.command()(explain)
app.command()(filters)
app.add_typer(weights_commands.app, name="weights")
app.command()(check)
app.command()(summary)
app.command()(benchmark)
app.command()(evaluate)
app.command()(report)
app.command()(export)
