"""What surrounds the command line: variables, shells, terminals."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.cli.failures import tell
from finetune.cli.output import printable, set_up_logging

Finetune = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_versions_come_without_importing_anything() -> None:
    script = "import sys; from finetune.cli import app as cli; sys.argv = ['finetune', '--version']\n"
    script += "try: cli.main()\nexcept SystemExit: pass\nassert not {'tensorflow', 'keras', 'cv2'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["finetune", "TensorFlow", "Keras", "OpenCV"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_the_script_of_every_shell(finetune: Finetune, shell: str) -> None:
    code, out, err = finetune("--show-completion", shell)
    assert (code, err) == (0, "")
    assert "_FINETUNE_COMPLETE" in out


def test_an_unknown_shell(finetune: Finetune) -> None:
    code, out, err = finetune("--show-completion", "tcsh")
    assert (code, out) == (2, "")
    assert err.startswith("finetune: error: Invalid value for '--show-completion'")


@pytest.mark.parametrize(
    ("words", "complete"),
    [
        ("finetune tr", "train"),
        ("finetune train --lear", "--learning-rate"),
        ("finetune train --network alexnet-b", "alexnet-book alexnet-bn"),
        ("finetune train --weights bvlc_c", "bvlc_caffenet"),
        ("finetune train --weights n", "none"),
        ("finetune predict x.png --model st", "starter"),
        ("finetune predict x.png --model my", ""),
        ("finetune explain x.png --network caf", "caffenet"),
        ("finetune check x --model st", "starter"),
        ("finetune export st", "starter"),
        ("finetune summary vgg", "vgg16"),
        ("finetune benchmark alexnet-o", "alexnet-owt"),
        ("finetune weights fetch torchvision_v", "torchvision_vgg16"),
    ],
)
def test_what_bash_completes(finetune: Finetune, monkeypatch: pytest.MonkeyPatch, words: str, complete: str) -> None:
    """The shell's script runs this."""
    monkeypatch.setenv("_FINETUNE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert finetune()[1].split() == complete.split()


def test_completion_is_installed_for_bash(finetune: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    code, out, _ = finetune("--install-completion", "bash")
    assert code == 0
    assert Path(out.strip()).is_relative_to(tmp_path)
    assert "finetune" in (tmp_path / ".bashrc").read_text()


@pytest.mark.parametrize("name", ["FINETUNE_SUMMARY_JSON", "FINETUNE_WEIGHTS_LIST_JSON"])
def test_a_variable_is_a_default(finetune: Finetune, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It has the name of the flag, not that of some variable in the code."""
    monkeypatch.setenv(name, "1")
    command = ("summary", "alexnet") if "SUMMARY" in name else ("weights", "list")
    code, out, err = finetune(*command)
    assert (code, err) == (0, "")
    json.loads(out.splitlines()[0])


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("FINETUNE_TRAIN_EPOCS", "; did you mean FINETUNE_TRAIN_EPOCHS?"),
        ("FINETUNE_OFLINE", "; did you mean FINETUNE_OFFLINE?"),
        ("FINETUNE_VERSION", "; unset it, or see finetune COMMAND --help"),
    ],
)
def test_a_mistyped_variable_is_told(
    finetune: Finetune, monkeypatch: pytest.MonkeyPatch, name: str, advice: str
) -> None:
    """The command still runs: the variable may be somebody else's."""
    monkeypatch.setenv(name, "1")
    code, out, err = finetune("weights", "list", "--json")
    assert (code, err) == (0, f"{name} is not read: no option has it{advice}\n")
    json.loads(out.splitlines()[0])


@pytest.mark.parametrize("value", ["many", "0"])
def test_a_mistyped_value_names_its_variable(finetune: Finetune, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Whether the command line refuses it or the library."""
    monkeypatch.setenv("FINETUNE_TRAIN_EPOCHS", value)
    code, out, err = finetune("train", "--data", "x")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--epochs" in err
    assert "(set by FINETUNE_TRAIN_EPOCHS)" in err


def test_the_command_line_wins(finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_TRAIN_EPOCHS", "many")
    code, _, err = finetune("train", "--data", "x", "--epochs", "0")
    assert (code, err) == (2, "finetune: error: --epochs must be 1 or more, not 0\n")


def test_variables_do_not_stand_in_the_way_of_resume(finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are defaults; --resume has its options from the run."""
    monkeypatch.setenv("FINETUNE_TRAIN_EPOCHS", "3")
    code, _, err = finetune("train", "--resume", "nowhere")
    assert (code, err) == (
        1,
        "finetune: error: nowhere has no config.json: expected a run that `finetune train` began\n",
    )


@pytest.mark.parametrize("no_color", [True, False])
def test_no_color(no_color: bool) -> None:
    """A progress bar on a terminal has colours, unless NO_COLOR is set."""
    script = (
        "import logging, time\nfrom finetune.system.progress import track\n"
        "logging.getLogger('finetune').setLevel(logging.INFO)\n"
        "for _ in track(range(3), 3, 'reading', 'files'): time.sleep(0.15)\n"
    )
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm-256color"} | ({"NO_COLOR": "1"} if no_color else {})
    subprocess.run([sys.executable, "-c", script], env=environment, stderr=theirs, check=True)
    os.close(theirs)
    shown = b""
    while chunk := read(ours):
        shown += chunk
    assert b"reading" in shown
    assert (b"\x1b[38;" in shown or b"\x1b[3" in shown) is not no_color


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other side has closed
        return b""


def test_an_unexpected_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=False)
    assert tell(ZeroDivisionError("division\nby zero")) == 1
    assert capsys.readouterr().err == (
        "finetune: error: unexpected ZeroDivisionError: division by zero; this is a fault of finetune, please "
        "report it (-v shows where)\n"
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "the output: No space left on device"),
        (OSError(2, "No such file or directory", "a.png"), "a.png: No such file or directory"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/x']"), "No usable temporary directory found"),
    ],
)
def test_only_what_was_written_is_called_the_output(
    error: OSError, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tell(error) == 1
    assert capsys.readouterr().err.startswith(f"finetune: error: {line}")


def test_v_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=True)
    try:
        int("x")
    except ValueError as error:
        tell(error)
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert "test_environment.py" in shown
    assert shown.splitlines()[-1].startswith("finetune: error: unexpected ValueError")


class ResourceExhaustedError(Exception):
    """Has the name of TensorFlow's."""


@pytest.mark.parametrize("error", [MemoryError(), ResourceExhaustedError("OOM when allocating tensor")])
def test_every_librarys_lack_of_memory(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(error) == 1
    assert "not enough memory; close other programs, or give a smaller --batch-size" in capsys.readouterr().err


def test_names_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[2J\nb\udcff") == r"a\x1b[2J\nb\udcff"
    set_up_logging(verbose=False)
    import logging

    logging.getLogger("finetune.x").warning("skipped %s: %s", Path("a\nb\x1b[2J"), "why")
    assert capsys.readouterr().err == "skipped a\\nb\\x1b[2J: why\n"
