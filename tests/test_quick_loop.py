"""The tests' own quick loop, which must not import TensorFlow."""

from pathlib import Path

import pytest
from support.quick_loop import TENSORFLOW_FILES, RefuseTensorFlow

TESTS = Path(__file__).parent


def test_the_listed_files_exist() -> None:
    assert [name for name in TENSORFLOW_FILES if not (TESTS / name).is_file()] == []


def test_tensorflow_is_refused_with_advice() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"decorate it with @pytest\.mark\.tensorflow"):
        RefuseTensorFlow().find_spec("tensorflow", None)


def test_other_modules_are_left_to_other_finders() -> None:
    assert RefuseTensorFlow().find_spec("numpy", None) is None
    assert RefuseTensorFlow().find_spec("tensorflow.keras", ["/somewhere"]) is None
