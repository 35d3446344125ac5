"""Nearly identical images in one split, where the data brings no splits of its own."""

import logging

from finetune.check.copies import near_groups
from finetune.check.look import look
from finetune.data.dataset import Dataset, LabelledFile
from finetune.system.parallel import parallel_map
from finetune.system.progress import track

logger = logging.getLogger(__name__)

MOST_IMAGES = 20_000  # every pair is compared: 5 s for 10,000 on two cores, 40 s for 30,000


def keep_copies_together(dataset: Dataset) -> Dataset:
    """Return the dataset with nearly identical images in one split; unchanged if its splits are those of the data.

    Every image is decoded. More than MOST_IMAGES are not compared, and a line says so.
    """
    if dataset.val_fraction is None:
        return dataset
    if len(dataset.records) > MOST_IMAGES:
        logger.warning(
            "nearly identical images may be in both splits: only up to %s images are compared", f"{MOST_IMAGES:,}"
        )
        return dataset
    files = [LabelledFile(record.path, dataset.class_names[record.label], None) for record in dataset.records]
    looks = list(track(parallel_map(look, files), len(files), "comparing", "files"))
    return dataset.with_copies(near_groups(looks))
