"""Nearly identical images count as one: in the split, where the data brings none, and in cross-validation."""

import logging

from finetune.check.copies import comparable_codes, near_groups
from finetune.check.hash_cache import Codes, keep_hashes, read_hashes
from finetune.check.look import look
from finetune.data.dataset import Dataset, LabelledFile
from finetune.system.parallel import parallel_map
from finetune.system.progress import track

logger = logging.getLogger(__name__)

MOST_IMAGES = 20_000  # every pair is compared: 5 s for 10,000 on two cores, 40 s for 30,000


def keep_copies_together(dataset: Dataset, cache: bool = True) -> Dataset:
    """Return the dataset with its groups of nearly identical images, each in one split unless the data brought its own.

    Every image is decoded once; with `cache`, hashes are kept for the next time. More than MOST_IMAGES are not
    compared, and a line says so.
    """
    if len(dataset.records) > MOST_IMAGES:
        logger.warning(
            "nearly identical images may be in both splits: only up to %s images are compared", f"{MOST_IMAGES:,}"
        )
        return dataset
    return dataset.with_copies(near_groups(_codes(dataset, cache)))


def _codes(dataset: Dataset, cache: bool) -> dict[str, Codes | None]:
    """Return digest -> codes of the images, None for an image that is not comparable."""
    paths = {record.digest: record.path for record in dataset.records}
    known = read_hashes() if cache else {}
    files = {digest: LabelledFile(path, "", None) for digest, path in paths.items() if digest not in known}
    looks = track(parallel_map(look, files.values()), len(files), "comparing", "files")
    found = {digest: comparable_codes(image) for digest, image in zip(files, looks, strict=True)}
    if cache and found:
        keep_hashes(known | found)
    return {digest: found[digest] if digest in found else known[digest] for digest in paths}
