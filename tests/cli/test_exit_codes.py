"""The exit codes are part of the command line: scripts rely on them."""

from finetune import errors
from finetune.cli import exit_codes


def test_their_values() -> None:
    assert {name: value for name, value in vars(exit_codes).items() if name.isupper()} == {
        "DONE": 0,
        "FAILED": 1,
        "WRONG_USAGE": 2,
        "SOME_UNREADABLE": 3,
        "INTERRUPTED": 130,
    }


def test_the_errors_have_them() -> None:
    assert errors.FinetuneError.exit_code == exit_codes.FAILED
    assert errors.UsageError.exit_code == exit_codes.WRONG_USAGE
    assert errors.InterruptionError.exit_code == exit_codes.INTERRUPTED
