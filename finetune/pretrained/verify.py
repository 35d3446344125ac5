"""Whether a file that is named like published weights has their content.

Digests are computed on every use and not remembered: of 244 MB, that takes 0.1 s, or half a second on a processor
without instructions for it, and the starter and the files that `fetch` writes take no time worth saving.
"""

import logging
from pathlib import Path

from finetune.errors import WeightsError
from finetune.formats.read_weights import read_weights
from finetune.pretrained.catalogue import Entry, entry_of
from finetune.system.digest import digest_of_file

logger = logging.getLogger(__name__)


def warn_if_unverified(path: Path) -> None:
    """Warn, in one line, if a file is named like published weights and may not be them."""
    entry = entry_of(path.name)
    if entry and (reason := why_unverified(path)):
        logger.warning(
            "%s is unverified: %s; to get the published weights, rename it and run finetune weights fetch %s",
            path,
            reason,
            entry.name,
        )


def why_unverified(path: Path) -> str | None:
    """Return why a file that is named like published weights may not be them; None if it is, or is named otherwise."""
    entry = entry_of(path.name)
    try:
        return _why(entry, path) if entry else None
    except (OSError, WeightsError):
        return "it cannot be read"


def _why(entry: Entry, path: Path) -> str | None:
    if entry.downloads and path.name == entry.files[0]:  # `fetch` converts a download, and notes its address
        noted = read_weights(path).metadata.get("weights")
        source = noted.get("source") if isinstance(noted, dict) else None
        verified = source in [download.url for download in entry.downloads if download.digest]
        return None if verified else "it states no download whose digest was verified"
    published = next((each.digest for each in entry.downloads if each.file == path.name), entry.packaged_digest)
    if published is None:
        return "no digest of it is published"
    kind, _, expected = published.partition(":")
    found = digest_of_file(path, kind)
    if found.startswith(expected):
        return None
    return f"its digest begins with {found[:8]}, the published one with {expected[:8]}"
