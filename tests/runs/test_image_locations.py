"""Where a run's images are, from any folder."""

from pathlib import Path

import pytest
from support.small_run import records

from finetune.data.dataset import Record
from finetune.runs.image_locations import locate_images
from finetune.runs.run import Run


def test_images_are_found_from_any_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = records()
    assert locate_images(run, given) == list(given), "from where train was called the names stay as they are"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    expected = [tmp_path / record.path for record in given]
    assert [record.path for record in locate_images(Run(tmp_path / "runs" / "mine"), given)] == expected
    monkeypatch.chdir(tmp_path / "runs")
    assert [record.path for record in locate_images(Run(Path("mine")), given)] == expected


def test_a_run_without_a_name_of_its_own_stands_in_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine" / "config.json").write_text('{"out": null}')
    given = (Record(Path("images", "dots", "0.png"), 0, "val", ""),)
    assert locate_images(Run(tmp_path / "runs" / "mine"), given) == list(given)


@pytest.mark.parametrize("out", ['"else/mine"', '"/runs/mine"', '"../runs/mine"', '"."', "7"])
def test_a_run_that_has_moved_says_nothing(run: Run, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = records()
    (run.path / "config.json").write_text(f'{{"out": {out}}}')
    monkeypatch.chdir("/")
    assert locate_images(Run(tmp_path / "runs" / "mine"), given) == list(given)


def test_absolute_paths_stay(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [record._replace(path=record.path.absolute()) for record in records()]
    monkeypatch.chdir("/")
    assert locate_images(Run(tmp_path / "runs" / "mine"), given) == given
