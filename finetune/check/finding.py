"""What a check can find: the kinds, hard before soft, and one finding with its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A kind of finding: whether it will hurt training (hard) or is worth knowing (soft), its title, what to do."""

    hard: bool
    title: str
    advice: str


KINDS = {
    "unreadable": Kind(True, "cannot be read", "Training leaves them out. Get the files again or remove them."),
    "damaged": Kind(True, "damaged data", "A part is gray, shifted or blurred: the decoder guessed it. Get it again."),
    "one-colour": Kind(True, "all one colour", "There is nothing to learn from them. Remove them."),
    "identical-classes": Kind(
        True, "identical in different classes", "One of the labels is wrong. Keep the file in its own class."
    ),
    "identical-sides": Kind(
        True, "identical in training and validation", "Accuracy on pictures already seen says nothing. Keep one copy."
    ),
    "similar-names": Kind(
        True, "class names that differ only in case, spaces or signs", "Likely one class: give it one name."
    ),
    "empty-class": Kind(True, "classes without pictures", "Training refuses them. Add pictures or remove the folder."),
    "one-class": Kind(True, "fewer than two classes", "Training needs at least two. Make a folder per class."),
    "class-one-side": Kind(
        True, "classes in training or validation only", "Training needs a class in both to learn it and to judge it."
    ),
    "suspect-label": Kind(
        False, "labels that a model doubts", "Look at them: some are wrong, some are right and unusual."
    ),
    "near-classes": Kind(
        False,
        "nearly identical in different classes",
        "Look at them: one label may be wrong. They stay on a clean list.",
    ),
    "near-sides": Kind(
        False, "nearly identical in training and validation", "They make accuracy look better than it is. Keep one."
    ),
    "identical": Kind(False, "identical in one class", "Copies count twice. Keep one."),
    "near": Kind(False, "nearly identical in one class", "Copies count twice. Keep one, unless they differ to you."),
    "plain": Kind(False, "nearly all one colour", "Often a placeholder, such as “image not found”. Look at them."),
    "tiny": Kind(False, "tiny beside the others", "They are enlarged to the network's input and blurred by it."),
    "narrow": Kind(False, "long and narrow", "The centre crop leaves most of them out; --resize warp takes all of it."),
    "colour-model": Kind(
        False, "another colour model than most", "They are turned to the network's. All right if no class has more."
    ),
    "exif-turn": Kind(False, "turned by EXIF", "They are set upright here; other programs may show them turned."),
    "wrong-extension": Kind(False, "a wrong extension", "The content decides here; other programs may not open them."),
    "passed-over": Kind(False, "files that are no pictures", "Training passes them over. Convert pictures among them."),
    "loose": Kind(False, "pictures outside the class folders", "Training passes them over. Move them into a class."),
    "few-pictures": Kind(
        False, "classes with few pictures to train on", "Add pictures; more than any option it helps."
    ),
    "imbalance": Kind(False, "classes of very different size", "Judge by each class's recall, not by accuracy alone."),
}


@dataclass(frozen=True)
class Finding:
    """One thing found: its kind, what it is in words, and the files that it is about."""

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
