"""The documents and --help describe every command and option, and every command in them can be parsed."""

import ast
import os
import re
import runpy
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.documents import DOCUMENTS, blocks
from typer.main import get_command

from finetune.choices import NETWORK_NAMES, WEIGHTS_NAMES
from finetune.cli import app as cli
from finetune.cli import environment, exit_codes
from finetune.cli import train as cli_train
from finetune.config import TrainConfig
from finetune.networks import build
from finetune.option_rules import flag

ROOT = Path(__file__).parents[2]
COMMANDS_PAGE = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
FAULTS = [line.split(" | ") for line in (ROOT / "tests/README.md").read_text("utf-8").splitlines() if line[:2] == "| "]
OTHERS = {"--help"}  # an option of every command


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the words and the command object of every command, including those in groups."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = dict(commands(get_command(cli.app)))


def options(command: Any) -> list[str]:
    return [name for option in command.params for name in (*option.opts, *option.secondary_opts) if name[0] == "-"]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_in_the_table_and_has_help(words: tuple[str, ...]) -> None:
    assert f"`finetune {' '.join(words)}" in COMMANDS_PAGE
    assert COMMANDS[words].help


def test_the_page_of_all_options_is_what_the_help_says() -> None:
    """After a change, `python tools/cli_reference.py` writes it again."""
    reference = runpy.run_path(str(ROOT / "tools/cli_reference.py"))["reference"]
    assert (ROOT / "docs/cli.md").read_text(encoding="utf-8") == reference()


def test_the_page_of_commands_has_every_exit_code_and_variable() -> None:
    described = {int(code) for code in re.findall(r"^\| (\d+) \|", COMMANDS_PAGE, re.MULTILINE)}
    assert described == {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert [name for name in environment._NOT_OPTIONS if f"| `{name}" not in COMMANDS_PAGE] == []


def test_the_screenshot_in_the_readme_is_small_and_names_no_machine() -> None:
    tool = runpy.run_path(str(ROOT / "tools/screenshot.py"))
    with Image.open(tool["IMAGE"]) as image:
        assert image.size == (1280, 830)
    assert tool["IMAGE"].stat().st_size < tool["MOST_BYTES"]
    page = "tensorflow 2.21.0, system Linux-6.1.0-box-x86_64-with-glibc2.36</dd> /tmp/x/textures"
    assert tool["public"](page, "/tmp/x") == "tensorflow 2.21.0, system Linux</dd> textures"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_every_option_has_help() -> None:
    for words, command in COMMANDS.items():
        for parameter in command.params:
            assert getattr(parameter, "help", None), (words, parameter.name)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_option_in_a_document_exists(document: str) -> None:
    known = {name for command in COMMANDS.values() for name in options(command)} | OTHERS
    known |= set(options(get_command(cli.app)))
    text = (ROOT / document).read_text(encoding="utf-8")
    found = {name for quoted in re.findall(r"`([^`\n]+)`", text) for name in re.findall(r"--[a-z][a-z-]*", quoted)}
    assert found - known == set()


def test_every_option_of_train_is_one_field_of_its_config() -> None:
    names = {parameter.name for parameter in COMMANDS[("train",)].params}
    fields = set(TrainConfig.__dataclass_fields__)
    assert names - fields == {"config", "resume", "dry_run", "find_lr", "verbose", *not_in_config()}
    assert fields <= names
    assert {flag(name) for name in fields} <= set(options(COMMANDS[("train",)]))


def not_in_config() -> set[str]:
    """Return the parameters of `train` that its module adds to the options of a run."""
    return {parameter.name for parameter in cli_train._command_line_parameters()}


def example_lines() -> Iterator[str]:
    """Yield the command lines in the documents, one for each command, and those in the help."""
    documented = (line for document in DOCUMENTS for block in blocks(document) for line in block.commands)
    for example in (*documented, *(line for command in COMMANDS.values() for line in command.examples)):
        yield from (part.strip() for part in re.split(r"&&|\| ", example) if part.strip().startswith("finetune "))


@pytest.mark.parametrize("words", COMMANDS)
def test_the_help_of_every_command_ends_with_two_examples_of_it(
    finetune: Callable[..., tuple[int, str, str]], words: tuple[str, ...]
) -> None:
    shown = finetune(*words, "--help")[1].rpartition("\nExamples:\n")[2].splitlines()
    assert len(shown) == 2
    assert all(line.startswith(f"  finetune {' '.join(words)}") and len(line) < 80 for line in shown)
    assert [line.strip() for line in shown] == COMMANDS[words].examples


def test_the_help_names_networks_weights_and_layers_that_exist() -> None:
    known = {*NETWORK_NAMES, *WEIGHTS_NAMES, *(layer.name for layer in build("alexnet").layers)}
    words = {word for command in COMMANDS.values() for line in command.examples for word in re.split("[ ,]", line)}
    named = {word for word in words if re.fullmatch(r"\w*(alexnet|caffenet|vgg)[\w-]*|(conv|fc|pool)\d|starter", word)}
    assert {"bvlc_alexnet", "alexnet-owt", "fc7", "starter"} <= named <= known


@pytest.mark.parametrize("line", list(example_lines()))
def test_every_example_can_be_parsed(line: str) -> None:
    """Its command and options exist and accept these values."""
    _, *words = shlex.split(line)
    group = get_command(cli.app)
    context = group.make_context("finetune", list(words))
    while hasattr(group, "commands"):
        words = [*context._protected_args, *context.args]  # of a group that has a default command, with its name
        name, group, words = group.resolve_command(context, words)  # type: ignore[assignment]
        context = group.make_context(name, list(words), parent=context)


def test_no_command_was_removed() -> None:
    """Scripts rely on these commands."""
    assert {" ".join(words) for words in COMMANDS} >= {
        "benchmark", "check", "demo", "evaluate", "explain", "export", "filters", "help", "predict", "rdm", "report",
        "score", "summary", "train", "weights convert", "weights fetch", "weights inspect", "weights list",
    }  # fmt: skip


def test_the_files_in_the_table_of_faults_exist() -> None:
    names = {name for row in FAULTS if len(row) == 4 for name in re.findall(r"`([^`]+\.py)`", row[3])}
    assert len(names) > 20
    assert [name for name in names if not (ROOT / "tests" / name).exists() and not (ROOT / name).exists()] == []


def test_the_messages_in_the_table_of_faults_are_those_of_the_package() -> None:
    """Every part of a quoted message is in the source, apart from values and the words of the system and of Typer."""
    modules = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "finetune").rglob("*.py")]
    constants = [node.value for module in modules for node in ast.walk(module) if isinstance(node, ast.Constant)]
    source = "\n".join(value for value in constants if isinstance(value, str))
    values = r"…|\(.*?\)|'.*?'|\d+|\b[A-Z_]{3,}\b=?|[;:,?/]"
    messages = [text for row in FAULTS if len(row) == 4 for text in re.findall(r"`([^`]+)`", row[2]) if " " in text]
    parts = {part.strip() for message in messages for part in re.split(values, message)}
    assert len(parts) > 40
    foreign = {"Invalid value for", *map(os.strerror, range(1, 40))}
    assert [part for part in parts - foreign if part not in source] == []
