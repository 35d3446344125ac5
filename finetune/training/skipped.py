"""Warnings of images that a training skips because they cannot be read."""

import logging
from collections.abc import Sequence

from finetune.data.dataset import Skipped
from finetune.runs.run import SKIPPED

logger = logging.getLogger(__name__)

NAMED = 5


def warn_of_skipped(skipped: Sequence[Skipped]) -> None:
    """Warn of the images, their number first, and name the first few."""
    if not skipped:
        return
    count = f"{len(skipped):,} images" if len(skipped) > 1 else "1 image"
    logger.warning("%s cannot be read and %s skipped", count, "are" if len(skipped) > 1 else "is")
    for path, reason in skipped[:NAMED]:
        logger.warning("skipped %s: %s", path, reason)
    if len(skipped) > NAMED:
        logger.warning("skipped %d more: see %s in the run", len(skipped) - NAMED, SKIPPED)
