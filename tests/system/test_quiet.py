"""What libraries print to stderr when they are imported is discarded, unless debug logging is on."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from finetune.system.quiet import silence


def test_a_home_that_cannot_be_written_is_not_mentioned(tmp_path: Path) -> None:
    """matplotlib prints two lines about it, in a process that has not imported it yet."""
    (tmp_path / "home").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL"))}
    program = "from finetune.system.quiet import import_matplotlib\nimport_matplotlib()\nimport matplotlib.figure"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_even_lines_from_c_are_discarded(capfd: pytest.CaptureFixture[str]) -> None:
    with silence():
        os.write(2, b"from C++\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_they_are_printed_with_debug_logging(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "finetune"), silence():
        os.write(2, b"from C++\n")
    assert capfd.readouterr().err == "from C++\n"


def test_stderr_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), silence():
        raise ZeroDivisionError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


@pytest.mark.tensorflow
@pytest.mark.parametrize("own", [True, False])
def test_keras_finds_no_packages_for_its_wrappers_in_our_own_program(own: bool) -> None:
    """And they can be imported as ever afterwards, also if one was imported before."""
    program = (
        "import sys\n"
        "from finetune.system import quiet\n"
        f"{'quiet.import_for_own_program()' if own else ''}\n"
        "quiet.import_tensorflow()\n"
        "print(*(name in sys.modules for name in quiet.FOR_WRAPPERS if name != 'pandas'))\n"
        "import sklearn.linear_model, matplotlib.figure, tensorflow\n"
        "print(tensorflow.keras.layers.Dense(2)(tensorflow.zeros((1, 3))).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{not own} {not own}", "(1, 2)"]


@pytest.mark.tensorflow
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_as_before_after_the_import(own: bool, enabled: bool) -> None:
    """Only in our own program do the objects of the import count as permanent: a user's own are still collected."""
    program = (
        "import gc\n"
        "from finetune.system import quiet\n"
        f"gc.{'enable' if enabled else 'disable'}()\n"
        f"{'quiet.import_for_own_program()' if own else ''}\n"
        "quiet.import_tensorflow()\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(enabled), str(own)]


@pytest.mark.tensorflow
@pytest.mark.parametrize("own", [None, "0"])
def test_onednn_is_on_unless_the_user_says_otherwise(own: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    if own is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = own
    program = (
        "import os\n"
        "from finetune.system.quiet import import_tensorflow\n"
        "import_tensorflow()\n"
        "print(os.environ['TF_ENABLE_ONEDNN_OPTS'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == f"{own or 1}\n"
