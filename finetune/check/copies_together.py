"""A look at every image before training: what is skipped, what is doubtful, and which images count as one.

Nearly identical images count as one in the split, where the data brings none, and in cross-validation.
"""

import logging
from pathlib import Path

from finetune.check.copies import comparable_codes, near_groups
from finetune.check.look import look
from finetune.check.look_cache import KeptLook, keep_looks, read_looks
from finetune.data.dataset import Dataset, LabelledFile
from finetune.data.decode import warn_if_doubtful, warn_of_dim_images
from finetune.system.parallel import parallel_map
from finetune.system.progress import track

logger = logging.getLogger(__name__)

MOST_IMAGES = 20_000  # every pair is compared: 5 s for 10,000 on two cores, 40 s for 30,000


def keep_copies_together(dataset: Dataset, cache: bool = True) -> Dataset:
    """Return the dataset with its groups of nearly identical images, each in one split unless the data brought its own.

    Images that cannot be decoded are skipped, and there is a warning of those that are damaged or dim. Every image is
    decoded once; with `cache`, what that showed is kept for the next time. More than MOST_IMAGES are neither decoded
    nor compared here, and a line says so. Raises DataError when too few images can be read.
    """
    if len(dataset.records) > MOST_IMAGES:
        logger.warning(
            "nearly identical images may be in both splits: only up to %s images are compared", f"{MOST_IMAGES:,}"
        )
        return dataset
    looks, errors = _looks(dataset, cache)
    if errors:
        unreadable = {record.path: errors[record.digest] for record in dataset.records if record.digest in errors}
        dataset = dataset.without(unreadable)
    for record in dataset.records:
        warn_if_doubtful(record.path, looks[record.digest].damage, looks[record.digest].dim)
    warn_of_dim_images()
    return dataset.with_copies(near_groups({digest: kept.codes for digest, kept in looks.items()}))


def _looks(dataset: Dataset, cache: bool) -> tuple[dict[str, KeptLook], dict[str, str]]:
    """Return digest -> what a look at each image showed, and digest -> reason for those that cannot be decoded."""
    paths: dict[str, Path] = {record.digest: record.path for record in dataset.records}
    known = read_looks() if cache else {}
    files = {digest: LabelledFile(path, "", None) for digest, path in paths.items() if digest not in known}
    found: dict[str, KeptLook] = {}
    errors: dict[str, str] = {}
    seen = track(parallel_map(look, files.values()), len(files), "comparing", "files")
    for digest, image in zip(files, seen, strict=True):
        if image.error is None:
            found[digest] = KeptLook(comparable_codes(image), image.damage, image.dim)
        else:
            errors[digest] = image.error
    if cache and found:
        keep_looks(known | found)
    looks = {digest: found[digest] if digest in found else known[digest] for digest in paths if digest not in errors}
    return looks, errors
