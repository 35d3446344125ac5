"""Defaults from the environment: FINETUNE_TRAIN_EPOCHS=10 means --epochs 10 for every `finetune train`.

Click's own auto_envvar_prefix was tried. It names variables after the parameters of the functions instead of the flags
(FINETUNE_SUMMARY_AS_JSON), lists the variable of every option in the help, and lets FINETUNE_HELP=1 replace every
command by its help.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from finetune.errors import UsageError
from finetune.system.text import did_you_mean

PREFIX = "FINETUNE"
_NOT_OPTIONS = ("FINETUNE_OFFLINE", "FINETUNE_WEIGHTS")  # they concern downloads and where weights are looked up


def name_variables(group: Any) -> None:
    """Give every option of every command in the group its variable: PREFIX, the command's words and the flag."""
    for variable, option in _options(group, PREFIX):
        option.envvar = variable
        option.show_envvar = False  # the epilog of the help states the rule


def unread_variables(group: Any) -> list[str]:
    """Return a line for every variable that starts with PREFIX but is not read, so that a typo is never silent."""
    known = [*_NOT_OPTIONS, *(variable for variable, _ in _options(group, PREFIX))]
    unread = [name for name in sorted(os.environ) if name.startswith(f"{PREFIX}_") and name not in known]
    # 0.8 because all names start alike: FINETUNE_VERSION has 0.67 with FINETUNE_TRAIN_VIEWS
    return [
        f"{name} is ignored: it is not the variable of any option{did_you_mean(name, known, cutoff=0.8)}; "
        "unset it, or see finetune COMMAND --help"
        for name in unread
    ]


def _options(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the variable and the option for every option of every command in the group and in its groups."""
    for name, command in getattr(group, "commands", {}).items():
        words = f"{prefix}_{_upper(name)}"
        yield from _options(command, words)
        for option in command.params:
            if option.param_type_name == "option":
                yield f"{words}_{_upper(max(option.opts, key=len).lstrip('-'))}", option


def _upper(name: str) -> str:
    return name.replace("-", "_").upper()


@contextmanager
def naming_variables(context: Any) -> Iterator[None]:
    """Add `(set by FINETUNE_TRAIN_EPOCHS)` to a usage error that mentions options set by the environment."""
    try:
        yield
    except UsageError as error:
        mentioned = {word.strip("'\":;,.()") for word in str(error).split()}
        found = [
            option.envvar
            for option in context.command.params
            if mentioned.intersection(option.opts)
            and (source := context.get_parameter_source(option.name)) is not None
            and source.name == "ENVIRONMENT"
        ]
        if found:
            error.add_note(f"(set by {', '.join(sorted(found))})")
        raise
