"""Whether a file can be written is known before the work."""

from pathlib import Path

import pytest

from finetune.errors import RunError, UsageError
from finetune.system.output_file import check_output_file


def test_names_that_can_be_written(tmp_path: Path) -> None:
    check_output_file(tmp_path / "new.PNG", (".png",), overwrite=False)
    check_output_file(tmp_path / "new.anything", overwrite=False)
    (tmp_path / "old.png").touch()
    check_output_file(tmp_path / "old.png", (".png", ".pdf"), overwrite=True)


def test_each_name_that_cannot(tmp_path: Path) -> None:
    (tmp_path / "old.png").touch()
    (tmp_path / "folder.png").mkdir()

    def refused(name: str, kind: type[Exception], overwrite: bool | None, option: str = "--out") -> str:
        with pytest.raises(kind) as error:
            check_output_file(tmp_path / name, (".png", ".pdf", ".svg"), overwrite=overwrite, option=option)
        return str(error.value).replace(f"{tmp_path}/", "")

    assert refused("a.eps", UsageError, True) == "--out a.eps: expected a name that ends in .png, .pdf or .svg"
    assert refused("no/a.png", RunError, True).endswith("no does not exist; create it first")
    assert refused("folder.png", RunError, True) == "--out folder.png is a folder; expected the name of a file"
    exists = "old.png exists; choose another name"
    assert refused("old.png", RunError, False) == f"--out {exists}, or --overwrite to replace it"
    assert refused("old.png", RunError, None, "--explain") == f"--explain {exists}", "it has no --overwrite"
