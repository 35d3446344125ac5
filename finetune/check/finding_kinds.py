"""Everything a check can find, hard before soft, and one finding with its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A kind of finding: whether it will hurt training (hard) or is worth knowing (soft), its title, what to do."""

    hard: bool
    title: str
    advice: str


KINDS = {
    "unreadable": Kind(True, "cannot be read", "Training skips them. Get the files again or remove them."),
    "damaged": Kind(
        True, "damaged data", "Part of the image is gray, shifted or blurred: the decoder guessed it. Get it again."
    ),
    "dim": Kind(True, "16 bits used in part", "They become dark or black. Scale their values to 65535."),
    "one-colour": Kind(True, "all one colour", "There is nothing to learn from them. Remove them."),
    "identical-classes": Kind(
        True, "identical in different classes", "One of the labels is wrong. Keep the file in its own class."
    ),
    "identical-sides": Kind(
        True, "identical in different splits", "Accuracy on training images proves nothing. Keep one copy."
    ),
    "similar-names": Kind(
        True, "class names that differ only in case, spaces or punctuation", "Probably one class: give it one name."
    ),
    "empty-class": Kind(True, "classes without images", "Training refuses them. Add images or remove the folder."),
    "one-class": Kind(True, "fewer than two classes", "Training needs at least two. Make a folder per class."),
    "class-one-side": Kind(
        True,
        "classes that training or validation lacks",
        "A class needs images in both, to learn it and to measure it.",
    ),
    "suspect-label": Kind(
        False, "labels that a model doubts", "Look at them: some are wrong, some are right but unusual."
    ),
    "near-classes": Kind(
        False,
        "nearly identical in different classes",
        "Look at them: one label may be wrong. --write-list keeps them.",
    ),
    "near-sides": Kind(
        False, "nearly identical in different splits", "They make accuracy look better than it is. Keep one."
    ),
    "identical": Kind(False, "identical in one class", "Copies count twice. Keep one."),
    "near": Kind(
        False, "nearly identical in one class", "Copies count twice. Keep one, unless the difference matters to you."
    ),
    "plain": Kind(False, "nearly all one colour", "Often a placeholder, such as “image not found”. Look at them."),
    "tiny": Kind(False, "much smaller than the others", "They are enlarged to the network's input, which blurs them."),
    "narrow": Kind(False, "long and narrow", "The centre crop drops most of each; --resize warp keeps all of it."),
    "colour-model": Kind(
        False,
        "another colour model than most",
        "They are converted to the network's. This is fine unless one class has more of them than others.",
    ),
    "exif-turn": Kind(False, "rotated by EXIF", "finetune sets them upright; other programs may show them rotated."),
    "wrong-extension": Kind(False, "wrong file extension", "finetune goes by the content; other programs may not."),
    "passed-over": Kind(False, "files that are not images", "Training skips them. Convert those that hold images."),
    "loose": Kind(False, "images outside the class folders", "Training skips them. Move them into a class folder."),
    "few-pictures": Kind(
        False, "classes with few images to train on", "Add images; that helps more than any option does."
    ),
    "imbalance": Kind(
        False, "classes of very different size", "Look at the recall of each class, not at accuracy alone."
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing found: its kind (a key of KINDS), a message, and the files it is about."""

    kind: str
    message: str
    paths: tuple[Path, ...] = ()

    @property
    def hard(self) -> bool:
        """Whether it will hurt training."""
        return KINDS[self.kind].hard

    def to_json(self) -> dict[str, Any]:
        """Return the finding as `--json` prints it."""
        severity = "hard" if self.hard else "soft"
        return {"kind": self.kind, "severity": severity, "message": self.message, "files": list(map(str, self.paths))}
