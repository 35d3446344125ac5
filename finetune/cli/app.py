"""The `finetune` command line: all commands, and the only place that exits.

Nothing heavy is imported here or at the top of a command's module, so help and errors about options appear at once.
"""

import logging
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Annotated, Any, Literal

import typer
from typer import completion
from typer.main import get_command

from finetune import __version__
from finetune.cli import runs, weights
from finetune.cli.benchmark import benchmark
from finetune.cli.check import check
from finetune.cli.command import Command, CommandGroup
from finetune.cli.demo import demo
from finetune.cli.environment import name_variables, unread_variables
from finetune.cli.evaluate import evaluate
from finetune.cli.exit_codes import INTERRUPTED
from finetune.cli.explain import explain
from finetune.cli.export import export
from finetune.cli.failures import report_failure
from finetune.cli.filters import filters
from finetune.cli.help import help
from finetune.cli.output import set_up_logging
from finetune.cli.predict import predict
from finetune.cli.report import report
from finetune.cli.score import score
from finetune.cli.serve import serve
from finetune.cli.signals import end_politely_on_sigterm
from finetune.cli.summary import summary
from finetune.cli.train import train
from finetune.system.quiet import keep_wrappers_out

logger = logging.getLogger(__name__)

COMMANDS = (
    demo, train, predict, score, explain, filters, check, summary, benchmark, evaluate, report, export,
    serve, help,
)  # fmt: skip

app = typer.Typer(
    name="finetune",
    cls=CommandGroup,
    help="Fine-tune AlexNet on your own images, and classify images with the result.",
    epilog="Environment variables set defaults: FINETUNE_TRAIN_EPOCHS=10 means --epochs 10 for every finetune train.",
    invoke_without_command=True,
    add_completion=False,  # Typer's own option guesses the shell; ours takes its name
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for function in COMMANDS:
    app.command(cls=Command)(function)
app.add_typer(runs.app, name="runs")
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Run the command line; an error becomes one line on stderr and an exit code (see finetune.cli.exit_codes)."""
    for stream in (sys.stdout, sys.stderr):  # file names may hold characters that this terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    end_politely_on_sigterm()
    keep_wrappers_out()
    try:
        completion.completion_init()  # type: ignore[attr-defined]
        code = _command()(prog_name="finetune", standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if sys.stdout:
            sys.stdout.flush()  # here, where a full disk or a closed pipe can still be reported
    except (Exception, KeyboardInterrupt) as error:
        code = report_failure(error)
    sys.exit(code)


def _command() -> Any:
    """Return the whole command line; its options take their defaults from the environment."""
    command = get_command(app)
    name_variables(command)
    return command


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    print(f"finetune {__version__}")
    # From the metadata, because importing them takes seconds. A library can be installed under several names.
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
    """Return an option that does its work and ends the command line."""
    return typer.Option(flag, callback=callback, is_eager=True, help=help)


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, _eager("--version", _show_version, "Show the versions of finetune, TensorFlow, Keras and OpenCV.")
    ] = False,
    show_completion: Annotated[
        Shell | None, _eager("--show-completion", _show_completion, "Show the script that completes words in a shell.")
    ] = None,
    install_completion: Annotated[
        Shell | None,
        _eager("--install-completion", _install_completion, "Add that script to the shell's start-up files."),
    ] = None,
) -> None:
    set_up_logging(verbose=False)
    for line in unread_variables(context.command):
        logger.warning("%s", line)
    if context.invoked_subcommand is None:
        print(context.get_help())
