"""The entry point of the command."""

import sys
from types import ModuleType

import pytest

from finetune.__main__ import main


class Interrupted(ModuleType):
    """A module whose import is interrupted by Ctrl-C."""

    def __getattr__(self, name: str) -> None:
        if name == "main":
            raise KeyboardInterrupt
        raise AttributeError(name)


def test_ctrl_c_during_the_import_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "finetune.cli.app", Interrupted("finetune.cli.app"))
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert capsys.readouterr() == ("", "finetune: error: interrupted; nothing was finished\n")
