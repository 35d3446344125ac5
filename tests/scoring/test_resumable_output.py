"""FILE.partial: what a stopped run leaves, how it is resumed, and when that is refused."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from finetune.errors import RunError, UsageError
from finetune.prediction import Prediction
from finetune.scoring.formats import JsonLinesFormat
from finetune.scoring.resumable_output import ResumableOutput
from finetune.scoring.rows import ScoreRow
from finetune.scoring.score_options import ScoreOptions

SETTINGS = {"model": "m" * 64, "top": 5}
WHOLE = b'{"path": "a", "error": "x"}\n{"path": "b", "error": "x"}\n{"path": "c", "error": "x"}\n'


@pytest.fixture(autouse=True)
def _state_after_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.scoring.resumable_output.SECONDS_BETWEEN_STATES", 0)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def output(out: Path, resume: bool = False, overwrite: bool = False, **settings: object) -> ResumableOutput:
    return ResumableOutput(out, JsonLinesFormat(out, ScoreOptions()), {**SETTINGS, **settings}, resume, overwrite)


def rows(names: str) -> Sequence[ScoreRow]:
    return [Prediction(Path(name), error="x") for name in names]


def stop_after(out: Path, names: str) -> Path:
    """Leave what a killed process leaves after it has written these rows and half of another; return its folder."""
    with output(out) as stopped:
        stopped.write(rows(names))
    folder = out.with_name("rows.jsonl.partial")
    with (folder / "rows.jsonl.part").open("ab") as part:
        part.write(b'{"path": "hal' + b"f" * 100)  # longer than what is written in its place
    return folder


def test_whole_run(out: Path) -> None:
    with output(out) as whole:
        whole.write(rows("ab"))
        assert not out.exists(), "the file appears at the end"
        whole.write(rows("c"))
        whole.finish()
        assert (whole.rows, whole.unread.counts.total()) == (3, 3)
    assert out.read_bytes() == WHOLE
    assert list(out.parent.iterdir()) == [out]


def test_resuming_cuts_off_the_half_written_row(out: Path) -> None:
    stop_after(out, "ab")
    with output(out, resume=True) as resumed:
        names = iter("abc")
        resumed.skip_written(names)
        assert list(names) == ["c"]
        assert (resumed.rows, resumed.unread.counts.total()) == (2, 2)
        resumed.write(rows("c"))
        resumed.finish()
    assert out.read_bytes() == WHOLE
    assert list(out.parent.iterdir()) == [out]


def test_rows_since_the_last_state_are_computed_again(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with output(out) as stopped:
        stopped.write(rows("a"))
        monkeypatch.setattr("finetune.scoring.resumable_output.SECONDS_BETWEEN_STATES", 1000)
        stopped.write(rows("b"))
    with output(out, resume=True) as resumed:
        resumed.skip_written(iter("abc"))
        assert resumed.rows == 1
        resumed.write(rows("bc"))
        resumed.finish()
    assert out.read_bytes() == WHOLE


def test_rows_are_on_the_disk_before_the_state_counts_them(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        written.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    with output(out) as stopped:
        monkeypatch.setattr(os, "fsync", spy)
        stopped.write(rows("a"))
    size, size_of_state = written
    assert size == len(WHOLE) // 3, "the row, before the state"
    state = out.with_name("rows.jsonl.partial") / "state.json"
    assert json.loads(state.read_text())["sizes"] == [size]
    assert size_of_state == state.stat().st_size


def test_a_state_that_was_being_written_is_deleted(out: Path) -> None:
    folder = stop_after(out, "ab")
    half = folder / ".state.json.x7.part"
    half.touch()
    with output(out, overwrite=True) as fresh:
        assert not half.exists()
        half.touch()
        fresh.write(rows("abc"))
        fresh.finish()
    assert list(out.parent.iterdir()) == [out]


def test_stopped_twice(out: Path) -> None:
    stop_after(out, "a")
    for done, batch in (("a", "b"), ("ab", "c")):
        with output(out, resume=True) as resumed:
            resumed.skip_written(iter(done))
            resumed.write(rows(batch))
    with output(out, resume=True) as last:
        last.skip_written(iter("abc"))
        last.finish()
    assert out.read_bytes() == WHOLE


@pytest.mark.parametrize("moved", [False, True])
def test_stopped_while_finishing(out: Path, moved: bool) -> None:
    """The rows are complete; the file is still to be renamed, or the folder to be deleted."""
    folder = stop_after(out, "abc")
    part = folder / "rows.jsonl.part"
    part.write_bytes(WHOLE)
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "finished": True}))
    if moved:
        part.replace(out)
    with output(out, resume=True) as last:
        assert last.finished
        last.finish()
        assert (last.rows, last.unread.counts.total()) == (3, 3)
    assert out.read_bytes() == WHOLE
    assert list(out.parent.iterdir()) == [out]


def test_other_inputs_are_refused(out: Path) -> None:
    folder = stop_after(out, "ab")
    for other in ("ax", "a", "ba"):
        with (
            pytest.raises(RunError, match=r"partial was started with other inputs: its first 2 are not the first of"),
            output(out, resume=True) as resumed,
        ):
            resumed.skip_written(iter(other))
    assert (folder / "state.json").exists()


def test_other_options_or_another_model_are_refused(out: Path) -> None:
    stop_after(out, "ab")
    with pytest.raises(RunError, match=r"was started with --top 5, not 3; use the same to resume, or --overwrite to"):
        output(out, resume=True, top=3)
    with pytest.raises(RunError, match=r"was started with another --model; use the same"):
        output(out, resume=True, model="n" * 64)


def test_existing_files_stay(out: Path) -> None:
    folder = stop_after(out, "ab")
    with pytest.raises(RunError, match=r"partial belongs to a stopped run; --resume continues it, --overwrite"):
        output(out)
    out.write_text("precious")
    with pytest.raises(RunError, match=r"rows\.jsonl exists; choose another --out, or --overwrite to replace it"):
        output(out)
    with output(out, overwrite=True) as fresh:
        fresh.write(rows("abc"))
        assert out.read_text() == "precious", "until the new file is whole"
        (folder / "mine.txt").touch()
        fresh.finish()
    assert out.read_bytes() == WHOLE
    assert [path.name for path in folder.iterdir()] == ["mine.txt"], "files of others stay"


def test_resume_without_a_stopped_run_starts(out: Path) -> None:
    with output(out, resume=True) as first:
        first.write(rows("abc"))
        first.finish()
    assert out.read_bytes() == WHOLE
    with pytest.raises(RunError, match=r"rows\.jsonl exists"):
        output(out, resume=True)


def test_killed_before_the_first_state(out: Path) -> None:
    out.with_name("rows.jsonl.partial").mkdir()
    with output(out, resume=True) as first:
        first.write(rows("abc"))
        first.finish()
    assert out.read_bytes() == WHOLE


def test_damaged_state_or_rows(out: Path) -> None:
    folder = stop_after(out, "ab")
    (folder / "rows.jsonl.part").write_bytes(b"short")
    with (
        pytest.raises(RunError, match=r"part is missing or shorter than it was; start again with --overwrite"),
        output(out, resume=True),
    ):
        pass
    (folder / "state.json").write_text("{")
    with pytest.raises(RunError, match=r"state\.json cannot be read .*; start again with --overwrite"):
        output(out, resume=True)


def test_one_process_at_a_time(out: Path) -> None:
    folder = stop_after(out, "ab")
    with (
        FileLock(folder / "lock", is_singleton=False),
        pytest.raises(RunError, match=r"another process is writing .*rows\.jsonl; wait for it"),
        output(out, resume=True),
    ):
        pass


def test_a_full_disk_keeps_the_rows_so_far(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with output(out) as stopped:
        stopped.write(rows("a"))
        monkeypatch.setattr("finetune.scoring.resumable_output.os.fsync", full)
        with pytest.raises(RunError, match=r"cannot be written \(No space left on device\); the rows so far stay in"):
            stopped.write(rows("b"))
    monkeypatch.undo()
    with output(out, resume=True) as resumed:
        assert resumed.rows == 1


def test_invalid_names(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"the folder .*gone does not exist; create it first"):
        output(tmp_path / "gone" / "rows.jsonl")
    with pytest.raises(RunError, match=r"is a folder; expected the name of a file"):
        output(tmp_path)
    with pytest.raises(UsageError, match=r"--resume continues .* and --overwrite starts again; give only one"):
        output(tmp_path / "rows.jsonl", resume=True, overwrite=True)
