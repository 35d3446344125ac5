"""Options as fields of a dataclass: the metadata has what the command line shows, and what is checked."""

from dataclasses import Field, field
from functools import partial
from typing import Any

from finetune.choices import NETWORK_NAMES
from finetune.errors import UsageError
from finetune.system.ranges import Range
from finetune.system.text import did_you_mean


def _option(
    panel: str,
    default: Any,
    help: str,
    range: Range | None = None,
    *,
    metavar: str | None = None,
    names: tuple[str, ...] = (),
) -> Any:
    """Return a field, for a section of the help; shells complete the `names`, but other values are allowed too."""
    about = {"panel": panel, "help": help, "range": range, "metavar": metavar, "names": names}
    return field(default=default, metadata=about)


PANELS = ("Data", "Layers and weights", "Optimisation", "Augmentation", "Run")  # the sections of the help, in order
data = partial(_option, PANELS[0])
layers = partial(_option, PANELS[1])
optimisation = partial(_option, PANELS[2])
augmentation = partial(_option, PANELS[3])
run = partial(_option, PANELS[4])


def check_range(flag: str, option: Field[Any], value: Any) -> None:
    """Raise UsageError, which names the flag, if the value is out of the field's range."""
    range = option.metadata.get("range")
    if range and value is not None and not range.holds(value):
        raise UsageError(f"{flag} {range.words}, not {value}")


def known_network(name: str | None) -> str | None:
    """Return the name of a network; raise UsageError if there is none of this name."""
    if name is not None and name not in NETWORK_NAMES:
        known = ", ".join(NETWORK_NAMES)
        raise UsageError(f"there is no network {name!r}{did_you_mean(name, NETWORK_NAMES)}; the networks are {known}")
    return name
