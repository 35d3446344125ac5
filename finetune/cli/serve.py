"""`finetune serve`."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from typing import Annotated

import typer

from finetune.cli.options import ModelArgument, NetworkOption, Verbose
from finetune.errors import UsageError
from finetune.system.extras import needs

logger = logging.getLogger(__name__)

NEEDED = ("fastapi", "uvicorn", "python_multipart")


def serve(
    model: ModelArgument = None,
    network: NetworkOption = None,
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="The address to listen on; 0.0.0.0 lets other machines in, and needs --token."
        ),
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(metavar="SECRET", help="Answer only requests that present this: Authorization: Bearer SECRET."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Serve a page and an HTTP API that classify images.

    Images do not leave this machine. Ctrl-C stops it.

    Examples:
      finetune serve
      finetune serve runs/insects --port 8080
    """
    missing = [module for module in NEEDED if find_spec(module) is None]
    if missing:
        raise UsageError(f"finetune serve {needs(*missing)}")
    from finetune.classifier import load
    from finetune.runs.about_model import about_model
    from finetune.runs.default_model import default_model
    from finetune.serving.app import create_app
    from finetune.serving.server import address, is_loopback, listen, run
    from finetune.serving.service import Service

    alone = is_loopback(host)
    if not alone and not token:
        raise UsageError(f"--host {host} lets other machines in; add --token SECRET, which they have to present")
    with listen(host, port) as listener:
        ref, why = (model, "") if model else default_model()
        if why:
            logger.info("model %s, %s", ref, why)
        classifier = load(ref, network)
        if not classifier.class_names:
            last = classifier.model.network.layers[-1].name
            raise UsageError(f"{ref} ends with {last} and has no classes; serve needs a model with classes")
        app = create_app(Service(classifier, lambda: about_model(classifier.model, ref)), token or None)
        if not alone:
            logger.warning("other machines can reach this server; what they send and see is not encrypted")
        logger.info("serving %s at %s (Ctrl-C stops it)", ref, address(host, listener, token))
        with _own_stderr():
            run(app, listener)
            requests = app.state.counts.total()
            logger.info("stopped after %d request%s", requests, "" if requests == 1 else "s")


@contextmanager
def _own_stderr() -> Iterator[None]:
    """Let the log through while TensorFlow is imported in another thread, which silences file descriptor 2."""
    with os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace") as log, redirect_stderr(log):
        yield
