"""`finetune teach`."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from finetune.cli.options import Host, Port, Token, Verbose
from finetune.cli.serve import open_port

logger = logging.getLogger(__name__)


def teach(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder for a folder of images per class; made if it is missing.")
    ] = Path("images"),
    port: Port = 8000,
    host: Host = "127.0.0.1",
    token: Token = None,
    verbose: Verbose = False,
) -> None:
    """Serve a page that collects images of classes and trains on them.

    Images are kept as a folder per class, and the model is that of finetune train --data FOLDER. Ctrl-C stops it.

    Examples:
      finetune teach
      finetune teach insects --port 8080
    """
    with open_port("finetune teach", host, port, token) as listener:
        from finetune.serving.app import create_app
        from finetune.serving.server import address, run
        from finetune.serving.teaching import open_teaching
        from finetune.serving.teaching_folder import held_folder
        from finetune.serving.teaching_routes import add_teaching

        with held_folder(folder) as held:
            service, teaching = open_teaching(held)
            app = create_app(service, token or None)
            add_teaching(app, teaching)
            logger.info("teaching %s at %s (Ctrl-C stops it)", folder, address(host, listener, token, "/teach"))
            run(app, listener)
        logger.info("stopped; the images are in %s", folder)
