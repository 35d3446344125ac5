"""Defaults from the environment: FINETUNE_TRAIN_EPOCHS=10 is --epochs 10 for every `finetune train`."""

import difflib
import os
from collections.abc import Iterator
from typing import Any

PREFIX = "FINETUNE"
_NO_OPTIONS = ("FINETUNE_OFFLINE", "FINETUNE_WEIGHTS")  # what fetching and finding weights read


def name_variables(command: Any, prefix: str = PREFIX) -> None:
    """Let every option below a command be set by a variable: its commands' names and its flag, as in --help."""
    for name, below in getattr(command, "commands", {}).items():
        path = f"{prefix}_{_upper(name)}"
        name_variables(below, path)
        for option in below.params:
            if option.param_type_name == "option":
                option.envvar = f"{path}_{_upper(max(option.opts, key=len).lstrip('-'))}"
                option.show_envvar = False  # the epilog of the help tells the rule


def unread_variables(command: Any) -> list[str]:
    """Return a line for every variable that begins like ours and means nothing, so that no mistyped one is silent."""
    known = [*_NO_OPTIONS, *_variables(command)]
    lines = []
    for name in sorted(os.environ):
        if name.startswith(f"{PREFIX}_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            advice = f"did you mean {near[0]}?" if near else "unset it, or see finetune COMMAND --help"
            lines.append(f"{name} is not read: no option has it; {advice}")
    return lines


def _variables(command: Any) -> Iterator[str]:
    for below in getattr(command, "commands", {}).values():
        yield from _variables(below)
        yield from (option.envvar for option in below.params if option.envvar)


def _upper(name: str) -> str:
    return name.replace("-", "_").upper()
