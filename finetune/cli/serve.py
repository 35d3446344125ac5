"""`finetune serve`."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from typing import TYPE_CHECKING

from finetune.cli.options import Host, ModelArgument, NetworkOption, Port, Token, Verbose
from finetune.errors import UsageError
from finetune.system.extras import needs

if TYPE_CHECKING:
    from socket import socket

logger = logging.getLogger(__name__)

NEEDED = ("fastapi", "uvicorn", "python_multipart")


def serve(
    model: ModelArgument = None,
    network: NetworkOption = None,
    port: Port = 8000,
    host: Host = "127.0.0.1",
    token: Token = None,
    verbose: Verbose = False,
) -> None:
    """Serve a page and an HTTP API that classify images.

    Images do not leave this machine. Ctrl-C stops it.

    Examples:
      finetune serve
      finetune serve runs/insects --port 8080
    """
    with open_port("finetune serve", host, port, token) as listener:
        from finetune.classifier import load
        from finetune.runs.about_model import about_model
        from finetune.runs.default_model import named_or_default
        from finetune.serving.app import create_app
        from finetune.serving.server import address, run
        from finetune.serving.service import Service

        ref = named_or_default(model)
        classifier = load(ref, network)
        if not classifier.class_names:
            last = classifier.model.network.layers[-1].name
            raise UsageError(f"{ref} ends with {last} and has no classes; serve needs a model with classes")
        app = create_app(Service(classifier, lambda: about_model(classifier.model, ref)), token or None)
        logger.info("serving %s at %s (Ctrl-C stops it)", ref, address(host, listener, token))
        run(app, listener)
        requests = app.state.counts.total()
        logger.info("stopped after %d request%s", requests, "" if requests == 1 else "s")


@contextmanager
def open_port(command: str, host: str, port: int, token: str | None) -> Iterator["socket"]:
    """Yield a socket that listens, for `serve` and `teach`; other machines are let in with a token only.

    Raises UsageError if the packages for it are missing, if it needs a token, or if it cannot listen.
    """
    missing = [module for module in NEEDED if find_spec(module) is None]
    if missing:
        raise UsageError(f"{command} {needs(*missing)}")
    from finetune.serving.server import is_loopback, listen

    alone = is_loopback(host)
    if not alone and not token:
        raise UsageError(f"--host {host} lets other machines in; add --token SECRET, which they have to present")
    with listen(host, port) as listener, _own_stderr():
        if not alone:
            logger.warning("other machines can reach this server; what they send and see is not encrypted")
        yield listener


@contextmanager
def _own_stderr() -> Iterator[None]:
    """Let the log through while TensorFlow is imported in another thread, which silences file descriptor 2."""
    with os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace") as log, redirect_stderr(log):
        yield
