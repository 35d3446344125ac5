"""How a command ends when images were not read: with the commonest reasons, and an exit code."""

import logging

import typer

from finetune.cli.exit_codes import SOME_UNREADABLE
from finetune.data.unread import Unread
from finetune.errors import DataError

logger = logging.getLogger(__name__)


def end_if_unread(unread: Unread, images: int, where: str) -> None:
    """End the command if images were not read; `where` each of them is listed.

    If none was read, this raises DataError: a wrong folder must not pass for work that was done.
    """
    if not unread.counts:
        return
    line = f"{unread.describe(images)}; each with its reason in {where}"
    if unread.counts.total() == images:
        raise DataError(line)
    logger.warning("%s", line)
    raise typer.Exit(SOME_UNREADABLE)
