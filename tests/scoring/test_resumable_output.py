"""The file in FILE.partial: what a stop leaves, and how a run goes on or is refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from finetune.classifier import Prediction
from finetune.errors import RunError, UsageError
from finetune.scoring.formats import JsonLinesFormat
from finetune.scoring.resumable_output import ResumableOutput
from finetune.scoring.rows import ScoreOptions, ScoreRow

ABOUT = {"model": "m" * 64, "top": 5}
WHOLE = b'{"path": "a", "error": "x"}\n{"path": "b", "error": "x"}\n{"path": "c", "error": "x"}\n'


@pytest.fixture(autouse=True)
def _state_after_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.scoring.resumable_output.SECONDS_BETWEEN_STATES", 0)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def output(out: Path, resume: bool = False, overwrite: bool = False, **about: object) -> ResumableOutput:
    return ResumableOutput(out, JsonLinesFormat(out, ScoreOptions()), {**ABOUT, **about}, resume, overwrite)


def rows(names: str) -> Sequence[ScoreRow]:
    return [Prediction(Path(name), error="x") for name in names]


def stop_after(out: Path, names: str) -> Path:
    """Leave what a killed process leaves that had written these rows, and half of one more; return its folder."""
    with output(out) as stopped:
        stopped.write(rows(names))
    folder = out.with_name("rows.jsonl.partial")
    with (folder / "rows.jsonl.part").open("ab") as part:
        part.write(b'{"path": "hal')
    return folder


def test_whole_run(out: Path) -> None:
    with output(out) as whole:
        whole.write(rows("ab"))
        assert not out.exists(), "nothing stands under the name before the end"
        whole.write(rows("c"))
        whole.finish()
        assert (whole.rows, whole.unreadable) == (3, 3)
    assert out.read_bytes() == WHOLE
    assert list(out.parent.iterdir()) == [out]


def test_going_on_cuts_the_tail_off(out: Path) -> None:
    stop_after(out, "ab")
    with output(out, resume=True) as going_on:
        names = iter("abc")
        going_on.skip_written(names)
        assert list(names) == ["c"]
        assert (going_on.rows, going_on.unreadable) == (2, 2)
        going_on.write(rows("c"))
        going_on.finish()
    assert out.read_bytes() == WHOLE
    assert list(out.parent.iterdir()) == [out]


def test_rows_since_the_last_state_are_made_again(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with output(out) as stopped:
        stopped.write(rows("a"))
        monkeypatch.setattr("finetune.scoring.resumable_output.SECONDS_BETWEEN_STATES", 1000)
        stopped.write(rows("b"))
    with output(out, resume=True) as going_on:
        going_on.skip_written(iter("abc"))
        assert going_on.rows == 1
        going_on.write(rows("bc"))
        going_on.finish()
    assert out.read_bytes() == WHOLE


def test_stopped_twice(out: Path) -> None:
    stop_after(out, "a")
    for done, batch in (("a", "b"), ("ab", "c")):
        with output(out, resume=True) as going_on:
            going_on.skip_written(iter(done))
            going_on.write(rows(batch))
    with output(out, resume=True) as last:
        last.skip_written(iter("abc"))
        last.finish()
    assert out.read_bytes() == WHOLE


@pytest.mark.parametrize("moved", [False, True])
def test_stopped_while_finishing(out: Path, moved: bool) -> None:
    """The rows are complete; only the renaming or the tidying up is left."""
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
        assert (last.rows, last.unreadable) == (3, 3)
    assert out.read_bytes() == WHOLE
    assert list(out.parent.iterdir()) == [out]


def test_other_inputs_are_refused(out: Path) -> None:
    folder = stop_after(out, "ab")
    for other in ("ax", "a", "ba"):
        with (
            pytest.raises(RunError, match=r"partial was started with other inputs: its first 2 are not the first of"),
            output(out, resume=True) as going_on,
        ):
            going_on.skip_written(iter(other))
    assert (folder / "state.json").exists()


def test_other_options_or_another_model_are_refused(out: Path) -> None:
    stop_after(out, "ab")
    with pytest.raises(RunError, match=r"was started with --top 5, not 3; use the same to resume, or --overwrite to"):
        output(out, resume=True, top=3)
    with pytest.raises(RunError, match=r"was started with another --model; use the same"):
        output(out, resume=True, model="n" * 64)


def test_what_is_in_the_way_stays(out: Path) -> None:
    folder = stop_after(out, "ab")
    with pytest.raises(RunError, match=r"partial belongs to a stopped run; --resume continues it, --overwrite"):
        output(out)
    out.write_text("precious")
    with pytest.raises(RunError, match=r"rows\.jsonl exists; choose another --out, or --overwrite to replace it"):
        output(out)
    with output(out, overwrite=True) as anew:
        anew.write(rows("abc"))
        assert out.read_text() == "precious", "until the new one is whole"
        (folder / "mine.txt").touch()
        anew.finish()
    assert out.read_bytes() == WHOLE
    assert [path.name for path in folder.iterdir()] == ["mine.txt"], "what is not ours stays"


def test_resume_without_a_stopped_run_begins(out: Path) -> None:
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


def test_disk_full_keeps_what_is_done(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with output(out) as stopped:
        stopped.write(rows("a"))
        monkeypatch.setattr("finetune.scoring.resumable_output.os.fsync", full)
        with pytest.raises(RunError, match=r"cannot be written \(No space left on device\); the rows so far stay in"):
            stopped.write(rows("b"))
    monkeypatch.undo()
    with output(out, resume=True) as going_on:
        assert going_on.rows == 1


def test_places_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"the folder .*gone does not exist; create it first"):
        output(tmp_path / "gone" / "rows.jsonl")
    with pytest.raises(RunError, match=r"is a folder; expected the name of a file"):
        output(tmp_path)
    with pytest.raises(UsageError, match=r"--resume continues .* and --overwrite starts again; give only one"):
        output(tmp_path / "rows.jsonl", resume=True, overwrite=True)
