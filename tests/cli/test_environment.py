"""Defaults from environment variables: their names, who wins, and mistakes in them."""

import json
from collections.abc import Callable

import pytest
from typer.main import get_command

from finetune.cli.app import app
from finetune.cli.environment import name_variables

Finetune = Callable[..., tuple[int, str, str]]


def test_every_option_has_the_variable_of_its_flag() -> None:
    """Named after the command and the flag as --help shows them, not after a parameter in the code."""
    command = get_command(app)
    name_variables(command)

    def variables(*words: str) -> dict[str, str]:
        found = command
        for word in words:
            found = found.commands[word]
        return {option.name: option.envvar for option in found.params if option.param_type_name == "option"}

    assert variables("explain") == {
        "out": "FINETUNE_EXPLAIN_OUT",
        "class_name": "FINETUNE_EXPLAIN_CLASS",
        "layer": "FINETUNE_EXPLAIN_LAYER",
        "model": "FINETUNE_EXPLAIN_MODEL",
        "network": "FINETUNE_EXPLAIN_NETWORK",
        "overwrite": "FINETUNE_EXPLAIN_OVERWRITE",
        "verbose": "FINETUNE_EXPLAIN_VERBOSE",
    }
    assert variables("weights", "list") == {
        "as_json": "FINETUNE_WEIGHTS_LIST_JSON",
        "verbose": "FINETUNE_WEIGHTS_LIST_VERBOSE",
    }
    assert variables("predict")["null"] == "FINETUNE_PREDICT_NULL"
    assert variables("train")["batch_size"] == "FINETUNE_TRAIN_BATCH_SIZE"
    assert set(variables().values()) == {None}, "the options of finetune itself, such as --version, have none"


@pytest.mark.parametrize("name", ["FINETUNE_SUMMARY_JSON", "FINETUNE_WEIGHTS_LIST_JSON"])
def test_a_variable_is_a_default(finetune: Finetune, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    command = ("summary", "alexnet") if "SUMMARY" in name else ("weights", "list")
    code, out, err = finetune(*command)
    assert (code, err) == (0, "")
    json.loads(out.splitlines()[0])


def test_the_help_does_not_repeat_the_variables(finetune: Finetune) -> None:
    assert "FINETUNE_" not in finetune("score", "--help")[1]
    assert "FINETUNE_TRAIN_EPOCHS=10 means --epochs" in finetune("--help")[1]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("FINETUNE_TRAIN_EPOCS", " (did you mean FINETUNE_TRAIN_EPOCHS?)"),
        ("FINETUNE_OFLINE", " (did you mean FINETUNE_OFFLINE?)"),
        ("FINETUNE_VERSION", ""),
        ("FINETUNE_HELP", ""),
    ],
)
def test_a_mistyped_variable_is_reported(
    finetune: Finetune, monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    """The command still runs: the variable may belong to another program."""
    monkeypatch.setenv(name, "1")
    code, out, err = finetune("weights", "list", "--json")
    assert (code, err) == (
        0,
        f"warning: {name} is ignored: it is not the variable of any option{nearest}; unset it, or see finetune "
        "COMMAND --help\n",
    )
    json.loads(out.splitlines()[0])


@pytest.mark.parametrize("value", ["many", "0"])
def test_an_invalid_value_names_its_variable(finetune: Finetune, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Whether the command line refuses it or the library."""
    monkeypatch.setenv("FINETUNE_TRAIN_EPOCHS", value)
    code, out, err = finetune("train", "--data", "x")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--epochs" in err
    assert "(set by FINETUNE_TRAIN_EPOCHS)" in err


def test_all_variables_at_fault_are_named(finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    """But not that of an option that the message does not mention."""
    monkeypatch.setenv("FINETUNE_TRAIN_EPOCHS", "3")
    monkeypatch.setenv("FINETUNE_TRAIN_SEED", "3")
    monkeypatch.setenv("FINETUNE_TRAIN_STAGES", "fc8:1")
    assert finetune("train", "--data", "x") == (
        2,
        "",
        "finetune: error: --stages and --epochs cannot both be given: each stage has its own epochs "
        "(set by FINETUNE_TRAIN_EPOCHS, FINETUNE_TRAIN_STAGES)\n",
    )


def test_variables_of_every_command_are_named(
    finetune: Finetune, monkeypatch: pytest.MonkeyPatch, tmp_path: str
) -> None:
    monkeypatch.setenv("FINETUNE_CHECK_HTML", f"{tmp_path}/page")
    _, _, err = finetune("check", f"{tmp_path}/images")
    assert err == (
        f"finetune: error: --html {tmp_path}/page: expected a name that ends in .html (set by FINETUNE_CHECK_HTML)\n"
    )
    monkeypatch.setenv("FINETUNE_WEIGHTS_LIST_JSON", "perhaps")
    assert "(set by FINETUNE_WEIGHTS_LIST_JSON)" in finetune("weights", "list")[2]


def test_the_command_line_wins(finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_TRAIN_EPOCHS", "many")
    code, _, err = finetune("train", "--data", "x", "--epochs", "0")
    assert (code, err) == (2, "finetune: error: --epochs must be 1 or more, not 0\n")


def test_variables_do_not_prevent_resume(finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are defaults; --resume takes its options from the run."""
    monkeypatch.setenv("FINETUNE_TRAIN_EPOCHS", "3")
    code, _, err = finetune("train", "--resume", "nowhere")
    assert code == 1
    assert err.startswith("finetune: error: nowhere has no config.json")
