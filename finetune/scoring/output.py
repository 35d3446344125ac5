"""The file that scoring writes: until all is done it lies in FILE.partial, so that a stopped run can go on."""

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
from finetune.errors import RunError, UsageError
from finetune.scoring.formats import Format
from finetune.scoring.rows import Row
from finetune.system.atomic import replacing

logger = logging.getLogger(__name__)

STATE, LOCK = "state.json", "lock"
SECONDS_BETWEEN_STATES = 1.0  # what a stop costs at most, beside the batch under way


class Output:
    """The folder FILE.partial: for each file its `.part`, and how much of each counts; a context manager.

    `rows` and `unreadable` count what is written. Batches are on the disk before the state that counts them, and what
    a stop leaves beyond is cut off. `about` is what the rows depend on; all of it must be the same to go on.
    One process at a time writes. Raises UsageError when both `resume` and `overwrite` are on, RunError when something
    is in the way, was begun with something else, or the disk refuses.
    """

    def __init__(
        self, out: Path, form: Format, about: Mapping[str, Any], resume: bool = False, overwrite: bool = False
    ) -> None:
        if resume and overwrite:
            raise UsageError("--resume goes on and --overwrite begins anew: give one of them")
        if not out.parent.is_dir():
            raise RunError(f"--out {out}: the folder {out.parent} does not exist; make it first")
        if out.is_dir():
            raise RunError(f"--out {out} is a folder; expected the name of a file")
        self.rows = self.unreadable = 0
        self.finished = False
        self._out, self._form, self._about = out, form, dict(about)
        self._folder = out.with_name(f"{out.name}.partial")
        self._lock = FileLock(self._folder / LOCK)
        self._names = hashlib.sha256()
        self._digest = self._names.hexdigest()
        self._parts: list[BinaryIO] = []
        self._kept = 0.0  # when the state was written last
        state = self._read_state() if resume else None
        if not overwrite and state is None:
            self._refuse_what_is_there(resume)
        self._state = state

    def __enter__(self) -> "Output":
        with self._writing():
            self._folder.mkdir(exist_ok=True)
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                raise RunError(f"another process writes {self._out} at this moment; wait for it") from None
            try:
                self._go_on(self._state) if self._state else self._begin()
            except BaseException:
                self._close()
                if not self._begun():
                    self._remove()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for part in self._parts:
            with suppress(OSError):  # what a full disk has no room for was never counted
                part.close()
        self._lock.release()

    def skip(self, inputs: Iterator[Input]) -> None:
        """Pass over the inputs whose rows are written; raise RunError when they are not those."""
        passed = 0
        for name in islice(inputs, self.rows):
            self._count_name(name)
            passed += 1
        if passed < self.rows or self._names.hexdigest() != self._digest:
            raise RunError(
                f"{self._folder} was begun with other inputs: its first {self.rows} are not the first of these; "
                "name the same to go on, or --overwrite to begin anew"
            )

    def write(self, rows: Sequence[Row]) -> None:
        """Append the rows of one batch."""
        with self._writing():
            for part, data in zip(self._parts, self._form.encode(rows), strict=True):
                part.write(data)
            for row in rows:
                self._count_name(str(row.path))
            self.rows += len(rows)
            self.unreadable += sum(row.error is not None for row in rows)
            if time.monotonic() - self._kept >= SECONDS_BETWEEN_STATES:
                self._write_state()

    def finish(self) -> None:
        """Give the files their names and remove the folder."""
        with self._writing():
            if not self.finished:
                self.finished = True
                self._write_state()
            for part in self._parts:
                part.close()
            for name in self._form.names:  # those that were moved before a stop are not there any more
                if self._part(name).exists():
                    self._form.finish(self._part(name), self._out.with_name(name), self.rows)
            self._remove()

    def _refuse_what_is_there(self, resume: bool) -> None:
        for path in (self._out.with_name(name) for name in reversed(self._form.names)):
            if path.exists():
                raise RunError(f"{path} exists; choose another --out, or --overwrite to replace it")
        if self._folder.exists() and not resume:
            raise RunError(
                f"{self._folder} is what a stopped run left; --resume goes on with it, --overwrite begins anew"
            )

    def _read_state(self) -> dict[str, Any] | None:
        """Return the state of a stopped run, None when there is none; raise RunError for one begun otherwise."""
        path = self._folder / STATE
        try:
            state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            logger.info("nothing to resume at %s: beginning", self._folder)
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{path} cannot be read ({error}); begin anew with --overwrite") from None
        if not _is_state(state, len(self._form.names)):
            raise RunError(f"{path} is damaged; begin anew with --overwrite")
        begun = state["about"]
        for name, value in json.loads(json.dumps(self._about)).items():
            if begun.get(name) != value:
                option = f"--{name.replace('_', '-')}"
                told = (
                    f"with {option} {begun.get(name)}, not {value}"
                    if len(str(value)) < 40
                    else f"with another {option}"
                )
                raise RunError(f"{self._folder} was begun {told}; give the same to go on, or --overwrite to begin anew")
        return state

    def _go_on(self, state: Mapping[str, Any]) -> None:
        self.rows, self.unreadable, self._digest = state["rows"], state["unreadable"], state["names"]
        self.finished = state["finished"]
        if self.finished:
            return
        for name, size in zip(self._form.names, state["sizes"], strict=True):
            path = self._part(name)
            if not path.exists() or path.stat().st_size < size:
                raise RunError(f"{path} is not as long as it was; begin anew with --overwrite")
            os.truncate(path, size)
            self._parts.append(path.open("ab"))
        logger.info("going on after %d rows", self.rows)

    def _begin(self) -> None:
        self._clear(keep=(LOCK,))
        self._parts = [self._part(name).open("wb") for name in self._form.names]
        for part, data in zip(self._parts, self._form.begin(), strict=True):
            part.write(data)
        self._write_state()

    def _write_state(self) -> None:
        """Bring the rows to the disk, then the state that counts them."""
        for part in self._parts:
            part.flush()
            os.fsync(part.fileno())
        state = {
            "about": self._about,
            "rows": self.rows,
            "unreadable": self.unreadable,
            "names": self._names.hexdigest(),
            "sizes": [part.tell() for part in self._parts],
            "finished": self.finished,
        }
        with replacing(self._folder / STATE) as temporary:
            temporary.write_text(json.dumps(state, indent=1), encoding="utf-8")
        self._kept = time.monotonic()

    def _count_name(self, name: Input) -> None:
        self._names.update(str(name).encode("utf-8", "surrogateescape") + b"\0")

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}.part"

    def _begun(self) -> bool:
        """Tell whether a stop would leave something to go on with."""
        return (self._folder / STATE).exists()

    def _remove(self) -> None:
        """Remove the folder and all in it that is ours: the lock last, since then another process may write."""
        self._clear(keep=(LOCK,))
        self._lock.release()
        (self._folder / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # somebody else's files lie in it
            self._folder.rmdir()

    def _clear(self, keep: Sequence[str] = ()) -> None:
        """Remove our own files from the folder, and those of a state that was being written."""
        own = {STATE, LOCK, *(self._part(name).name for name in self._form.names)} - set(keep)
        for path in self._folder.iterdir():
            if path.name in own or path.name.startswith(f".{STATE}."):
                path.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            stays = f"what is done stays in {self._folder}, and --resume goes on with it"
            raise RunError(
                f"{self._out} cannot be written ({error.strerror or error}); "
                f"{stays if self._begun() else 'mend that, or choose another --out'}"
            ) from None


def _is_state(state: Any, files: int) -> bool:
    """Tell whether JSON is what `_write_state` writes."""
    kinds = {"about": dict, "rows": int, "unreadable": int, "names": str, "sizes": list, "finished": bool}
    if not isinstance(state, dict) or any(type(state.get(name)) is not kind for name, kind in kinds.items()):
        return False
    counts = [state["rows"], state["unreadable"], *state["sizes"]]
    return len(state["sizes"]) == files and all(type(count) is int and count >= 0 for count in counts)
