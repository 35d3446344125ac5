"""The `finetune` command: declare options, call one function, print. The only place that exits.

Nothing heavy is imported here: the help and every error about options come at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from finetune import __version__, cli_weights
from finetune.cli_benchmark import benchmark
from finetune.cli_check import check
from finetune.cli_evaluate import evaluate, report
from finetune.cli_explain import explain, filters
from finetune.cli_export import export
from finetune.cli_predict import predict
from finetune.cli_score import score
from finetune.cli_summary import summary
from finetune.cli_train import train
from finetune.cli_verbose import Verbose, set_up_logging
from finetune.errors import FinetuneError

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
    set_up_logging(verbose=False)
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
    from finetune.demo import run_demo

    run_demo(out)


app.command()(train)
app.command()(predict)
app.command()(score)
app.command()(explain)
app.command()(filters)
app.add_typer(cli_weights.app, name="weights")
app.command()(check)
app.command()(summary)
app.command()(benchmark)
app.command()(evaluate)
app.command()(report)
app.command()(export)
