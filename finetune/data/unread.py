"""Why images were not read, counted: a folder of a million Git LFS pointers ends in one line."""

from collections import Counter
from collections.abc import Mapping

from finetune.data.header import FIRST_BYTES

MOST_SHOWN = 3
MOST_KEPT = 100  # different reasons; some, such as that of a damaged header, differ with every file
OTHER = "other reasons"


class Unread:
    """How many images were not read, by reason; `counts` continues an earlier count."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self.counts = Counter(counts)

    def add(self, reason: str) -> None:
        """Count an image that was not read; what the reason quotes of the file does not make another reason."""
        reason = reason.partition(FIRST_BYTES)[0]
        self.counts[reason if reason in self.counts or len(self.counts) < MOST_KEPT else OTHER] += 1

    def describe(self, images: int) -> str:
        """Return how many of the images were not read, and the commonest reasons.

        >>> unread = Unread({"the file is empty": 2, "a Git LFS pointer, not the image; run git lfs pull": 500})
        >>> unread.describe(900)
        '502 of 900 not read: 500 × a Git LFS pointer, not the image (run git lfs pull), 2 × the file is empty'
        """
        shown = self.counts.most_common(MOST_SHOWN)
        parts = [f"{count:,} × {_in_brackets(reason)}" for reason, count in shown]
        if rest := self.counts.total() - sum(count for _, count in shown):
            parts.append(f"{rest:,} × {OTHER}")
        return f"{self.counts.total():,} of {images:,} not read: {', '.join(parts)}"


def _in_brackets(reason: str) -> str:
    """Return a reason with what to do in brackets, since it is a part of a longer line."""
    what, _, to_do = reason.partition("; ")
    return f"{what} ({to_do})" if to_do else what
