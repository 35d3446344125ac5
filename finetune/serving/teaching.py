"""What `finetune teach` has in addition to what it serves: a folder of classes to fill, and a training on it."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from finetune.check.check import check
from finetune.check.finding_kinds import KINDS
from finetune.classifier import Classifier, load
from finetune.config import TrainConfig
from finetune.data.class_name import valid_text
from finetune.errors import DataError, RunError, WeightsError
from finetune.runs.about_model import about_model
from finetune.runs.run import runs_with_model
from finetune.serving.background_training import BackgroundTraining
from finetune.serving.service import Service
from finetune.serving.teaching_folder import TeachingFolder

logger = logging.getLogger(__name__)

Returned = TypeVar("Returned")

SECONDS_COUNTED = 0.5  # for which counts are used again, unless this server has changed the folder
MOST_MESSAGES, MOST_FOUND = 3, 12  # messages and images of each kind of finding
_THREADS = 4  # that read and write images, so that a hundred at once do not fill the memory


class Teaching:
    """A folder, the training on it, and the last run, which the `service` answers with as soon as it has a model."""

    def __init__(self, folder: TeachingFolder, service: Service, run: Path | None) -> None:
        self.folder = folder
        self.run = run
        self.training = BackgroundTraining(self._use, folder.hold_for_training)
        self._service = service
        self._threads = ThreadPoolExecutor(_THREADS, "teaching")
        self._checking = Lock()
        self._counting = Lock()
        self._counted: tuple[float, int, list[dict[str, Any]]] = (0.0, -1, [])

    def status(self) -> dict[str, Any]:
        """Return what the page shows at any time."""
        status = self.training.status
        return {
            "folder": valid_text(str(self.folder.path)),
            "classes": self._classes(),
            "run": self.run and self.run.name,
            "training": {
                "stage": status.stage,
                "what": status.what,
                "done": status.done,
                "total": status.total,
                "lines": status.lines,
                "error": status.error,
            },
        }

    def _classes(self) -> list[dict[str, Any]]:
        """Return the classes; thirty pages ask for them all the time, and a listing of 1,000 files takes 25 ms."""
        with self._counting:
            until, changes, classes = self._counted
            if changes != self.folder.changes or time.monotonic() > until:
                changes, versions = self.folder.changes, self.folder.versions()
                classes = [
                    {"name": name, "images": count, "version": versions.get(name, "")}
                    for name, count in self.folder.classes().items()
                ]
                self._counted = time.monotonic() + SECONDS_COUNTED, changes, classes
            return classes

    def train(self) -> None:
        """Start `finetune train --data FOLDER`; DataError if it would fail at once."""
        filled = sum(count > 0 for count in self.folder.classes().values())
        if filled < 2:
            raise DataError(f"expected images in at least two classes, found them in {filled}; add images")
        self.training.start(TrainConfig(data=self.folder.path))

    def findings(self) -> list[dict[str, Any]]:
        """Return what `finetune check FOLDER` finds, kind by kind, hard before soft; DataError without any class."""
        with self._checking:  # it uses all cores
            checked = check(self.folder.path)
        names = {path: name for name, path in self.folder.images()}
        found = {kind: checked.of(kind) for kind in KINDS}
        return [
            {
                "kind": kind,
                "severity": "hard" if KINDS[kind].hard else "soft",
                "title": KINDS[kind].title,
                "advice": KINDS[kind].advice,
                "count": len(findings),
                "messages": list(dict.fromkeys(valid_text(finding.message) for finding in findings))[:MOST_MESSAGES],
                "images": [names[p] for finding in findings for p in finding.paths if p in names][:MOST_FOUND],
            }
            for kind, findings in found.items()
            if findings
        ]

    async def in_thread(self, function: Callable[..., Returned], *arguments: Any) -> Returned:
        """Return what a function returns that reads or writes files."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def _use(self, run: Path) -> None:
        classifier = load(run)
        self._service.use(classifier, lambda: _about(classifier, run))
        self.run = run
        logger.info("trained %s, whose model answers from now on", run)


def open_teaching(folder: TeachingFolder) -> tuple[Service, Teaching]:
    """Return what answers for a folder: the newest run in ./runs that was trained on it, otherwise the starter."""
    for run in runs_with_model():
        try:
            if Path(str(run.config().get("data"))).resolve() == folder.path.resolve():
                service = _service(run.path)
                logger.info("%s answers, trained on %s", run.path, folder.path)
                return service, Teaching(folder, service, run.path)
        except (RunError, WeightsError) as error:  # a damaged run does not keep anybody from collecting images
            logger.warning("%s", error)
    service = _service("starter")
    return service, Teaching(folder, service, None)


def _service(ref: Path | str) -> Service:
    classifier = load(ref)
    return Service(classifier, lambda: _about(classifier, ref))


def _about(classifier: Classifier, ref: Path | str) -> dict[str, Any]:
    return {**about_model(classifier.model, ref), "teaches": True}
