"""From a name of published weights, or a path, to the file; and the rule of `--weights auto`."""

import logging
from pathlib import Path

from finetune.errors import WeightsError
from finetune.formats.tf_checkpoint import checkpoint_index
from finetune.pretrained.catalogue import CATALOGUE, FALLBACK, PUBLISHED
from finetune.pretrained.locate import find
from finetune.system.nearest_path import did_you_mean_path
from finetune.system.text import did_you_mean

logger = logging.getLogger(__name__)


def resolve(ref: str) -> tuple[Path, str]:
    """Return the file of a published name or a path, and its name; raise WeightsError if there is none.

    Published weights that are not on this machine are fetched, and never replaced by others.
    """
    if ref in CATALOGUE:
        return _explicit(ref), ref
    path = checkpoint_index(Path(ref))
    if path.is_file():
        return path, path.name
    if path.is_dir():
        raise WeightsError(f"expected a weights file, but {ref} is a folder; pass the file in it")
    near = did_you_mean(ref, CATALOGUE) or did_you_mean_path(path)
    raise WeightsError(
        f"weights {ref!r}: neither a file nor a published name{near}; the names are {', '.join(CATALOGUE)}"
    )


def choose_weights(weights: str, network: str) -> tuple[Path | None, str]:
    """Return the file that `--weights` means for a network, and its name; no file for "none".

    "auto" is the network's published weights; if they are neither here nor can be fetched, it falls back to the small
    weights of this package, where the network has some, with a warning. A name or path given explicitly never does.
    Raises WeightsError if there is no file.
    """
    if weights == "none":
        return None, "none"
    if weights != "auto":
        return resolve(weights)
    if network not in PUBLISHED:
        raise WeightsError(
            f"no weights are published for {network}; pass a file with --weights, or --weights none to train from "
            "scratch"
        )
    return _published_or_fallback(PUBLISHED[network], FALLBACK.get(network))


def _explicit(name: str) -> Path:
    try:
        return _find_or_fetch(name)
    except WeightsError as error:
        other = FALLBACK.get(CATALOGUE[name].network)
        advice = (
            f"use --weights {other}, which needs no download" if other else "train from scratch with --weights none"
        )
        raise WeightsError(f"{error}; or {advice}") from None


def _published_or_fallback(name: str, fallback: str | None) -> tuple[Path, str]:
    try:
        return _find_or_fetch(name), name
    except WeightsError as error:
        path = find(fallback) if fallback else None
        if not fallback or not path:
            raise WeightsError(f"{error}; or train from scratch with --weights none") from None
        logger.warning(
            "the weights %s are not on this machine and could not be fetched; using the small %s (%d classes) "
            "instead; `finetune weights fetch %s` shows the reason",
            name,
            fallback,
            CATALOGUE[fallback].num_classes,
            name,
        )
        logger.debug("%s", error)
        return path, fallback


def _find_or_fetch(name: str) -> Path:
    if path := find(name):
        return path
    from finetune.pretrained.fetch import fetch  # here because most commands find the file and need no lock

    return fetch(name)
