"""`finetune help`."""

from typing import Annotated, Any

import typer

from finetune.errors import UsageError


def _complete(context: typer.Context, incomplete: str) -> list[str]:
    """Return the commands that start with a word."""
    found: Any = context.find_root().command
    for word in context.params.get("words") or ():
        found = getattr(found, "commands", {}).get(word)
    return [name for name in getattr(found, "commands", {}) if name.startswith(incomplete)]


def help(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="The command, e.g. train or weights list.", autocompletion=_complete),
    ] = None,
) -> None:
    """Show the help of a command, as COMMAND --help does.

    Examples:
      finetune help train
      finetune help weights list
    """
    shown: Any = context.find_root()
    for word in words or []:
        if not hasattr(shown.command, "commands"):
            raise UsageError(f"{shown.command_path} has no commands, but {word!r} was given; omit it")
        name, command, _ = shown.command.resolve_command(shown, [word])
        shown = type(shown)(command, info_name=name, parent=shown)
    print(shown.command.get_help(shown))
