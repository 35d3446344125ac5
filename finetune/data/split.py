"""Which images are trained on and which validate: a property of the image's bytes, or what the data itself says."""

from typing import Literal

Split = Literal["train", "val"]

VALIDATION_NAMES = ("val", "valid", "validation")  # what people call the side that is not trained on, in any case
TEST_NAME = "test"  # that side too where nothing has one of those names


def split_by_digest(labelled: list[tuple[int, str]], val_fraction: float) -> dict[str, Split]:
    """Return digest -> side: within each class the first `val_fraction` of the images by digest is validation.

    So the split depends on the bytes alone: it hardly moves when images are added, keeps the share in every class,
    and byte-identical files, of one class or of two, are never on both sides. A class keeps at least one image to
    train on and, when it has two different ones, gives at least one to validation, unless all of its images are in an
    earlier class too.
    """
    by_label: dict[int, set[str]] = {}
    for label, digest in labelled:
        by_label.setdefault(label, set()).add(digest)
    sides: dict[str, Split] = {}
    for _, digests in sorted(by_label.items()):
        share = min(max(round(len(digests) * val_fraction), 1), len(digests) - 1)
        share -= sum(sides.get(digest) == "val" for digest in digests)  # taken along with an earlier class
        for rank, digest in enumerate(sorted(digest for digest in digests if digest not in sides)):
            sides[digest] = "val" if rank < share else "train"
    return sides
