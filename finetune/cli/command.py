"""How every command shows its help and refuses a wrong command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from finetune.cli.environment import naming_variables
from finetune.cli.hints import explained, no_such_command, unexpected
from finetune.errors import UsageError

_EXAMPLES = "\n\nExamples:\n"  # the heading in the docstring of a command


class Command(TyperCommand):
    """A command with its options in sections, examples at the end of its help, and errors with hints.

    The section of an option is its `rich_help_panel`. Rich itself does not draw it: of 80 columns, its boxes and five
    columns leave less than half for the help. The examples are the last paragraph of the docstring.
    """

    allow_extra_args = True  # so that `parse_args` can report what they probably mean

    def __init__(self, *arguments: Any, help: str | None = None, **settings: Any) -> None:
        text, _, examples = (help or "").partition(_EXAMPLES)
        super().__init__(*arguments, help=text, **settings)
        self.examples = [line.strip() for line in examples.splitlines()]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse wrong options and values."""
        given = list(args)
        with naming_variables(ctx), _explaining(ctx):
            rest = super().parse_args(ctx, args)
            if rest and not ctx.resilient_parsing:
                raise UsageError(unexpected(given, rest, ctx))
            return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with naming_variables(ctx):
            return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, and the options in their sections."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for option in self.get_params(ctx):
            if record := option.get_help_record(ctx):
                name, text = record[0], record[1].replace("  [", " [")  # as the defaults that are part of a help text
                if option.param_type_name == "argument":
                    sections["Arguments"].append((name.partition(" <")[0], text))  # without its type in Python
                else:
                    section = getattr(option, "rich_help_panel", None) or "Options"
                    sections.setdefault(section, []).append((name, text))
        for section, records in sections.items():
            if records:
                with formatter.section(section):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, each on one line, so that they can be copied."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in self.examples))


class CommandGroup(TyperGroup):
    """A group of commands: its help never cuts their summaries, and a name that is none of them gets a hint."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse wrong options."""
        with _explaining(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names, its name and the other words."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise UsageError(no_such_command(args, ctx))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the name of every command, and the first paragraph of its help."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, (command.help or "").partition("\n\n")[0]) for name, command in self.commands.items()]
            )


@contextmanager
def _explaining(context: Any) -> Iterator[None]:
    """Turn an error of Typer into a UsageError with a hint."""
    try:
        yield
    except typer.TyperException as error:
        raise UsageError(explained(error, context)) from None
