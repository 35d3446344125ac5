"""The README and --help describe every command and option, and the examples in the README run."""

import ast
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from finetune.choices import NETWORK_NAMES, WEIGHTS_NAMES
from finetune.cli import app as cli
from finetune.cli import train as cli_train
from finetune.config import TrainConfig, flag
from finetune.networks import build

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FAULTS = [line.split(" | ") for line in (ROOT / "tests/README.md").read_text("utf-8").splitlines() if line[:2] == "| "]
EXAMPLES = re.findall(r"^    (.*\bfinetune .*)$", README, re.MULTILINE)
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


def test_every_command_is_in_the_readme_and_has_help() -> None:
    for words, command in COMMANDS.items():
        assert f"`finetune {' '.join(words)}" in README, words
        assert command.help, words


def test_every_option_has_help() -> None:
    for words, command in COMMANDS.items():
        for parameter in command.params:
            assert getattr(parameter, "help", None), (words, parameter.name)


def test_every_option_in_the_readme_exists() -> None:
    known = {name for command in COMMANDS.values() for name in options(command)} | OTHERS
    known |= set(options(get_command(cli.app)))
    found = {name for quoted in re.findall(r"`([^`]+)`", README) for name in re.findall(r"--[a-z][a-z-]*", quoted)}
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
    """Yield the command lines of the examples in the README, one for each command, and those in the help."""
    for example in (*EXAMPLES, *(line for command in COMMANDS.values() for line in command.examples)):
        yield from (part.strip() for part in re.split(r"&&|\|", example) if part.strip().startswith("finetune "))


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
        name, group, words = group.resolve_command(context, words)  # type: ignore[assignment]
        context = group.make_context(name, list(words), parent=context)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_examples_run_one_after_the_other(
    image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On small drawn images and with fewer epochs; `demo` has its own test."""
    data = image_folder("images", stripes=6, dots=6)
    shutil.copy(data / "dots" / "0.png", tmp_path / "photo.jpg")
    (tmp_path / "stimuli.csv").write_text("path,onset\nphoto.jpg,0.5\n")
    monkeypatch.chdir(tmp_path)
    for example in EXAMPLES:
        before, _, command = example.replace("/photos", "images").rpartition("|")
        if "finetune demo" in example or not command.strip().startswith("finetune "):
            continue
        if "--probe" in command:
            monkeypatch.delenv("FINETUNE_TRAIN_EPOCHS", raising=False)  # a probe has none
        else:
            monkeypatch.setenv("FINETUNE_TRAIN_EPOCHS", "2")
        if before:
            before = before.replace("*.jpg", "*.png")
            names = subprocess.run(before, shell=True, capture_output=True, check=True).stdout
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(names)))
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code in (0, None), example
    assert (tmp_path / "runs" / "insects" / "report.html").exists()
    assert (tmp_path / "scores.csv").exists()


def test_no_command_was_removed() -> None:
    """Scripts rely on these commands."""
    assert {" ".join(words) for words in COMMANDS} >= {
        "benchmark", "check", "demo", "evaluate", "explain", "export", "filters", "help", "predict", "report", "score",
        "summary", "train", "weights convert", "weights fetch", "weights inspect", "weights list",
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
