"""What a wrong command line probably means: names that other programs use, and otherwise the nearest name."""

import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from finetune.system.text import either, nearest

# What other programs call a command, an option or a value, and its name here.
MEANT = {
    "classify": "predict",
    "convert": "weights convert",
    "download": "weights fetch",
    "fetch": "weights fetch",
    "fit": "train",
    "inspect": "weights inspect",
    "test": "evaluate",
    "--batch": "--batch-size",
    "--dataset": "--data",
    "--lr": "--learning-rate",
    "--model-path": "--model",
    "--output": "--out",
    "tensorflow": "saved_model",
    "tfjs": "web",
    "tflite": "litert",
}

# Options of other programs that are not needed here, and why.
_GPU = "TensorFlow uses a GPU by itself if it finds one"
NOT_NEEDED = {"--cpu": "CUDA_VISIBLE_DEVICES=-1 hides the GPU from TensorFlow", "--device": _GPU, "--gpu": _GPU}

# The option that an argument is probably for, of commands that take none, or one less.
MISPLACED = {"evaluate": "--data", "train": "--data"}

# What the kinds of Pydantic's errors expect.
EXPECTED = {"bool_parsing": "true or false", "float_parsing": "a number", "int_parsing": "a whole number"}


def explained(error: Any, context: Any) -> str:
    """Return the message of an error of Typer, with what was expected or probably meant."""
    message = error.format_message()
    if hasattr(error, "possibilities"):  # an unknown option
        message = f"there is no option {error.option_name!r}{_about_option(error.option_name, context.command)}"
    elif hasattr(error.__cause__, "errors"):  # Pydantic's, about a value
        message = f"Invalid value for {error.param.get_error_hint()}: {_about_value(error)}"
    return f"{message} {_help(context)}"


def _about_option(name: str, command: Any) -> str:
    if name in NOT_NEEDED:
        return f" ({NOT_NEEDED[name]}; omit {name})"
    known = (option for parameter in command.params for option in parameter.opts if option.startswith("--"))
    return _did_you_mean(_meant(name, known))


def _about_value(error: Any) -> str:
    """Return what was expected of a value, and what came."""
    fault = error.__cause__.errors()[0]
    choices = error.param.type_descriptor.choices
    if choices:
        hint = _did_you_mean(_meant(str(fault["input"]), choices))
        return f"expected {either(choices)}, got {fault['input']!r}{hint}"
    if fault["type"] in EXPECTED:
        return f"expected {EXPECTED[fault['type']]}, got {fault['input']!r}"
    return f"{fault['msg']}, got {fault['input']!r}"


def unexpected(args: list[str], extra: list[str], context: Any) -> str:
    """Return the message about words that are not options, nor arguments that the command takes.

    Names after an option that takes several are listed with commas.
    """
    command = context.command
    words = [part for arg in args for part in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    before = words[: words.index(extra[0])] if extra[0] in words else []
    *_, option, value = ["", "", *before]
    several = {name for parameter in command.params if getattr(parameter, "multiple", False) for name in parameter.opts}
    if option in several:
        hint = f"separate names by commas: {option} {','.join([value, *extra])}"
    elif command.name in MISPLACED:
        hint = f"did you mean {MISPLACED[command.name]} {shlex.join(extra)}?"
    else:
        hint = "omit it"
    return f"{context.command_path} does not take {shlex.join(extra)} here; {hint} {_help(context)}"


def no_such_command(args: list[str], context: Any) -> str:
    """Return the message about a word that is not a command, with the command line that was probably meant."""
    name, *rest = args
    meant = _meant(name, _commands(context.command))
    line = f"{context.command_path} {shlex.join([*meant.split(), *rest])}" if meant else None
    return f"there is no command {name!r}{_did_you_mean(line)}; {context.command_path} --help lists the commands"


def _commands(group: Any) -> Iterator[str]:
    """Yield the words of every command in the group and in its groups."""
    for name, command in getattr(group, "commands", {}).items():
        yield name
        yield from (f"{name} {below}" for below in _commands(command))


def _meant(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that a word means: by MEANT, otherwise the nearest, if one is near."""
    known = list(known)
    if MEANT.get(word) in known:
        return MEANT[word]
    bare = {name.lstrip("-"): name for name in known}  # -- alone would make all options similar
    return bare.get(nearest(word.lstrip("-"), bare) or "")


def _did_you_mean(meant: str | None) -> str:
    return f" (did you mean {meant}?)" if meant else ""


def _help(context: Any) -> str:
    return f"({context.command_path} --help lists the options)"
