"""Where a run comes from: the command that repeats it, and the versions that it was made with."""

import platform
import shlex
from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from finetune import __version__
from finetune.config import TrainConfig
from finetune.option_rules import flag

# What a run's metrics depend on.
_PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "opencv-python", "pillow", "simplejpeg")


def repeat_command(config: Mapping[str, Any]) -> str:
    """Return the `finetune train` that repeats a run: every option of its config.json that is not the default."""
    words = ["finetune", "train"]
    for field in fields(TrainConfig):
        value = config.get(field.name)
        value = tuple(value) if isinstance(value, list) else value
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value is None or value == default:
            continue
        words += option_words(field.name, value)
    return shlex.join(words)


def option_words(name: str, value: Any) -> list[str]:
    """Return the words of a command line that give an option of `train` this value.

    >>> option_words("skip", ["fc7", "fc8"]), option_words("flip", False)
    (['--skip', 'fc7,fc8'], ['--no-flip'])
    """
    option = flag(name)
    match value:
        case bool():
            return [option if value else f"--no-{option[2:]}"]
        case list() | tuple():
            return [option, ",".join(map(str, value))]
    return [option, str(value)]


def versions() -> dict[str, str]:
    """Return name -> version of this package, Python, the system and the libraries that a run's metrics depend on."""
    found = {"finetune": __version__, "python": platform.python_version(), "system": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # the library may be installed under another name, such as tensorflow-cpu
            continue
    return found
