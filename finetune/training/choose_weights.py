"""Temporary home of the rule of `auto`."""

import logging
from pathlib import Path

from finetune.errors import WeightsError
from finetune.pretrained import catalogue

logger = logging.getLogger(__name__)


def choose_weights(weights: str, network: str) -> tuple[Path | None, str]:
    """Return the weights file and its name; no file for "none". Only "auto" may fall back, and says so."""
    if weights == "none":
        return None, "none"
    if weights != "auto":
        return catalogue.resolve(weights)
    published, fallback = catalogue.PUBLISHED.get(network), catalogue.FALLBACK.get(network)
    if published is None:
        raise WeightsError(
            f"no weights are published for {network}; name a file with --weights, or none to train from scratch"
        )
    if path := catalogue.find(published):
        return path, published
    from finetune.pretrained.fetch import fetch  # here, since it loads the HTTP library

    try:
        return fetch(published), published
    except WeightsError as error:
        if not (fallback and (path := catalogue.find(fallback))):
            raise WeightsError(f"{error}; --weights none trains from scratch at once") from None
        logger.warning(
            "note: %s is not here and was not fetched; using the small %s (%d classes); `finetune weights fetch %s` "
            "says why",
            published,
            fallback,
            catalogue.CATALOGUE[fallback].num_classes,
            published,
        )
        logger.debug("%s", error)
        return path, fallback
