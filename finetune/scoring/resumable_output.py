"""The file that scoring writes: until every row is done it is in FILE.partial, so that a stopped run can be resumed."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from finetune.data.inputs import Input
from finetune.data.unread import Unread
from finetune.errors import RunError, UsageError
from finetune.scoring.formats import Format
from finetune.scoring.rows import ScoreRow
from finetune.system.atomic import replacing
from finetune.system.output_file import check_output_file

logger = logging.getLogger(__name__)

STATE, LOCK = "state.json", "lock"
SECONDS_BETWEEN_STATES = 1.0  # of work that a stop costs at most, in addition to the current batch


class ResumableOutput:
    """The folder FILE.partial, a context manager: a `.part` for each file of the format, and the state.

    The state says how many rows are written and how many bytes of each part they take. Rows reach the disk before the
    state that counts them; on resuming, bytes beyond the state are cut off. `rows` counts the rows written, and
    `unread` those of them whose image was not read. `settings` is everything the rows depend on, and must be the same
    to resume.
    One process at a time can write. Raises UsageError if both `resume` and `overwrite` are given, RunError if another
    file is in the way, the stopped run had other settings, or the disk refuses.
    """

    def __init__(
        self, out: Path, format: Format, settings: Mapping[str, Any], resume: bool = False, overwrite: bool = False
    ) -> None:
        if resume and overwrite:
            raise UsageError("--resume continues a stopped run and --overwrite starts again; give only one of them")
        check_output_file(out, overwrite=True)  # whether it exists is asked when no other process can write it
        self.rows = 0
        self.unread = Unread()
        self.finished = False
        self._out, self._format, self._settings = out, format, dict(settings)
        self._folder = out.with_name(f"{out.name}.partial")
        self._lock = FileLock(self._folder / LOCK)
        self._names = hashlib.sha256()  # of the inputs whose rows are written
        self._names_before = self._names.hexdigest()  # of those that the stopped run wrote
        self._parts: list[BinaryIO] = []
        self._state_time = 0.0  # when the state was last written
        state = self._read_state() if resume else None
        if not overwrite and state is None:
            self._check_free(resume)
        self._state = state

    def __enter__(self) -> "ResumableOutput":
        with self._disk_errors_reported():
            self._folder.mkdir(exist_ok=True)
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                raise RunError(f"another process is writing {self._out}; wait for it") from None
            try:
                self._resume(self._state) if self._state else self._start()
            except BaseException:
                self._close()
                if not self._can_be_resumed():
                    self._delete_folder()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for part in self._parts:
            with suppress(OSError):  # bytes that a full disk has no room for are not counted by the state
                part.close()
        self._lock.release()

    def skip_written(self, inputs: Iterator[Input]) -> None:
        """Advance past the inputs whose rows are written; raise RunError if they are not the same inputs."""
        count = 0
        for name in islice(inputs, self.rows):
            self._add_name(name)
            count += 1
        if count < self.rows or self._names.hexdigest() != self._names_before:
            raise RunError(
                f"{self._folder} was started with other inputs: its first {self.rows} are not the first of these; "
                "give the same inputs to resume, or --overwrite to start again"
            )

    def write(self, rows: Sequence[ScoreRow]) -> None:
        """Append the rows of one batch."""
        with self._disk_errors_reported():
            self._format.append(self._parts, rows, self.rows)
            for row in rows:
                self._add_name(str(row.path))
                if row.error is not None:
                    self.unread.add(row.error)
            self.rows += len(rows)
            if time.monotonic() - self._state_time >= SECONDS_BETWEEN_STATES:
                self._write_state()

    def finish(self) -> None:
        """Give the files their final names and delete the folder."""
        with self._disk_errors_reported():
            if not self.finished:
                self.finished = True
                self._write_state()
            for part in self._parts:
                part.close()
            for name in self._format.names:
                if self._part(name).exists():  # not if it was moved before a stop
                    self._format.finish(self._part(name), self._out.with_name(name), self.rows)
            self._delete_folder()

    def _check_free(self, resume: bool) -> None:
        for path in (self._out.with_name(name) for name in reversed(self._format.names)):
            if path.exists():
                raise RunError(f"{path} exists; choose another --out, or --overwrite to replace it")
        if self._folder.exists() and not resume:
            raise RunError(f"{self._folder} belongs to a stopped run; --resume continues it, --overwrite starts again")

    def _read_state(self) -> dict[str, Any] | None:
        """Return the state of a stopped run, or None if there is none; raise RunError if it had other settings."""
        path = self._folder / STATE
        try:
            state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            logger.info("nothing to resume at %s: starting with the first image", self._folder)
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{path} cannot be read ({error}); start again with --overwrite") from None
        if not _is_state(state, len(self._format.names)):
            raise RunError(f"{path} is damaged; start again with --overwrite")
        self._check_settings(state["about"])
        return state

    def _check_settings(self, before: Mapping[str, Any]) -> None:
        for name, value in json.loads(json.dumps(self._settings)).items():
            if before.get(name) == value:
                continue
            option = f"--{name.replace('_', '-')}"
            # A SHA-256 means nothing to the user.
            difference = f"{option} {before.get(name)}, not {value}" if len(str(value)) < 40 else f"another {option}"
            raise RunError(
                f"{self._folder} was started with {difference}; use the same to resume, or --overwrite to start again"
            )

    def _resume(self, state: Mapping[str, Any]) -> None:
        self.rows, self.unread, self._names_before = state["rows"], Unread(state["unread"]), state["names"]
        self.finished = state["finished"]
        if self.finished:
            return
        for name, size in zip(self._format.names, state["sizes"], strict=True):
            path = self._part(name)
            if not path.exists() or path.stat().st_size < size:
                raise RunError(f"{path} is missing or shorter than it was; start again with --overwrite")
            os.truncate(path, size)
            self._parts.append(path.open("r+b"))
            self._parts[-1].seek(size)
        logger.info("resuming after %d rows", self.rows)

    def _start(self) -> None:
        self._delete_own_files(keep=(LOCK,))
        self._parts = [self._part(name).open("wb") for name in self._format.names]
        self._format.start(self._parts)
        self._write_state()

    def _write_state(self) -> None:
        """Flush the rows to the disk, then write the state that counts them."""
        for part in self._parts:
            part.flush()
            os.fsync(part.fileno())
        state = {
            "about": self._settings,
            "rows": self.rows,
            "unread": self.unread.counts,
            "names": self._names.hexdigest(),
            "sizes": [part.tell() for part in self._parts],
            "finished": self.finished,
        }
        with replacing(self._folder / STATE) as temporary:
            temporary.write_text(json.dumps(state, indent=1), encoding="utf-8")
        self._state_time = time.monotonic()

    def _add_name(self, name: Input) -> None:
        self._names.update(str(name).encode("utf-8", "surrogateescape") + b"\0")

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}.part"

    def _can_be_resumed(self) -> bool:
        return (self._folder / STATE).exists()

    def _delete_folder(self) -> None:
        """Delete our files and the folder; the lock last, since without it another process may write."""
        self._delete_own_files(keep=(LOCK,))
        self._lock.release()
        (self._folder / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # the folder has files of somebody else
            self._folder.rmdir()

    def _delete_own_files(self, keep: Sequence[str] = ()) -> None:
        """Delete our own files from the folder, including a state that was being written."""
        own = {STATE, LOCK, *(self._part(name).name for name in self._format.names)} - set(keep)
        for path in self._folder.iterdir():
            if path.name in own or path.name.startswith(f".{STATE}."):
                path.unlink()

    @contextmanager
    def _disk_errors_reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            resume = f"the rows so far stay in {self._folder}; continue with --resume"
            raise RunError(
                f"{self._out} cannot be written ({error.strerror or error}); "
                f"{resume if self._can_be_resumed() else 'fix that, or choose another --out'}"
            ) from None


def _is_state(state: Any, files: int) -> bool:
    """Return whether JSON has the fields that `_write_state` writes."""
    kinds = {"about": dict, "rows": int, "unread": dict, "names": str, "sizes": list, "finished": bool}
    if not isinstance(state, dict) or any(type(state.get(name)) is not kind for name, kind in kinds.items()):
        return False
    counts = [state["rows"], *state["unread"].values(), *state["sizes"]]
    return len(state["sizes"]) == files and all(type(count) is int and count >= 0 for count in counts)
