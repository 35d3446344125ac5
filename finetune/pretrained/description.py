"""What a user knows of weights that do not describe themselves: the input of their training, and their classes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.choices import AS_TRAINED, Interpolation, Resize
from finetune.data.class_name import class_name
from finetune.data.preprocessing import with_changes
from finetune.errors import UsageError
from finetune.formats.untrusted_text import shown
from finetune.formats.weights_file import WeightsFile
from finetune.networks.network import Network
from finetune.system.ranges import MEAN


@dataclass(frozen=True)
class Description:
    """The input of weights and the names of their classes, in place of what is usual for their network.

    `resize`, `mean` and `interpolation`: as in `with_changes`. `class_names`: a text file with one name per line.
    Raises UsageError for an invalid mean.
    """

    resize: Resize | None = None
    mean: str = AS_TRAINED
    interpolation: Interpolation | None = None
    class_names: Path | None = None

    def __post_init__(self) -> None:
        if not MEAN.holds(self.mean):
            raise UsageError(f"--mean {MEAN.words}, not {self.mean}")

    def of_network(self, network: Network, file: WeightsFile) -> Network:
        """Return the network in a weights file with this input; UsageError if the file describes itself."""
        for name in ("resize", "mean", "interpolation"):
            if getattr(self, name) != getattr(NOTHING_GIVEN, name):
                check_undescribed(file, f"--{name}")
        preprocessing = with_changes(network.preprocessing, self.resize, self.mean, self.interpolation)
        return replace(network, preprocessing=preprocessing)

    def names(self, file: WeightsFile, count: int) -> tuple[str, ...] | None:
        """Return the names of the `count` classes of a weights file, None if none are given.

        Raises UsageError for other than `count` names, and if the file describes itself.
        """
        if self.class_names is None:
            return None
        check_undescribed(file, "--class-names")
        names = _lines(Path(self.class_names))  # from Python it may be text
        if len(names) != count:
            raise UsageError(
                f"--class-names {self.class_names} has {len(names):,} names, but {file.name} has {count:,} "
                "classes; expected one name per line, in the order of the classes"
            )
        return names


NOTHING_GIVEN = Description()


def check_undescribed(file: WeightsFile, option: str) -> None:
    """Raise UsageError, which names the option, if finetune trained the weights in a file: it says how they are used.

    Published weights that finetune fetched or converted state only what is usual for their network.
    """
    stated = file.metadata
    origin = stated.get("weights")
    fetched = isinstance(origin, Mapping) and "source" in origin
    if "options" in stated and "class_names" in stated and not fetched:
        raise UsageError(
            f"{option} is for weights that do not describe themselves, but {file.name} states its preprocessing "
            f"and the names of its classes, as it was trained; omit {option}"
        )


def _lines(path: Path) -> tuple[str, ...]:
    """Return the lines of a text file that are not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--class-names {path} cannot be read ({reason}); expected a text file") from None
    names = tuple(class_name(line) for line in text.splitlines() if line.strip())
    for name in names:
        if not name.isprintable():
            raise UsageError(f"--class-names {path}: '{shown(name)}' is not a name; expected a text file")
    return names
