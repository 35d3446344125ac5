"""How every command shows its help."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

from finetune.cli.environment import naming_variables

_EXAMPLES = "\n\nExamples:\n"  # the heading in the docstring of a command


class Command(TyperCommand):
    """A command with its options in sections, and examples at the end of its help; its errors name variables.

    The section of an option is its `rich_help_panel`. Rich itself does not draw it: of 80 columns, its boxes and five
    columns leave less than half for the help. The examples are the last paragraph of the docstring.
    """

    def __init__(self, *arguments: Any, help: str | None = None, **settings: Any) -> None:
        text, _, examples = (help or "").partition(_EXAMPLES)
        super().__init__(*arguments, help=text, **settings)
        self.examples = [line.strip() for line in examples.splitlines()]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse wrong options and values."""
        with naming_variables(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with naming_variables(ctx):
            return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, and the options in their sections."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for option in self.get_params(ctx):
            if record := option.get_help_record(ctx):
                name, text = record
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
    """A group of commands: its help never cuts their summaries."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the name of every command, and the first paragraph of its help."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, (command.help or "").partition("\n\n")[0]) for name, command in self.commands.items()]
            )
