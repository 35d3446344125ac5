"""What `finetune teach` adds to the app of `finetune serve`: a folder of classes to fill, and a training on it."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel

from finetune.check.check import check
from finetune.check.finding_kinds import KINDS
from finetune.classifier import Classifier, load
from finetune.config import TrainConfig
from finetune.data.class_name import valid_text
from finetune.data.thumbnails import thumbnail
from finetune.errors import DataError, RunError, WeightsError
from finetune.runs.about_model import about_model
from finetune.runs.run import Run, runs_with_model
from finetune.serving.app import add_files
from finetune.serving.background_training import BackgroundTraining
from finetune.serving.schema import Refusal, refusals
from finetune.serving.service import Service
from finetune.serving.teaching_folder import NotInFolderError, TeachingFolder
from finetune.serving.zip_stream import zip_stream

logger = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "teach_page"

_REFUSED: dict[int | str, dict[str, Any]] = {
    **refusals(413, 422),
    404: {"model": Refusal, "description": "There is no such class, image or file."},
    409: {"model": Refusal, "description": "What is there, or a training that runs, is in the way."},
    507: {"model": Refusal, "description": "The disk is full or refuses."},
}
_IMAGE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One image as it is.",
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}

Returned = TypeVar("Returned")

SHOWN_IMAGES = 48  # of a class, unless a page asks for more
MOST_MESSAGES, MOST_FOUND = 3, 12  # messages and images of each kind of finding
_THREADS = 4  # that read and write images, so that a hundred at once do not fill the memory


class ClassToName(BaseModel):
    """The name of a class: to add it, to rename one to it, or to move an image to it."""

    name: str


class Teaching:
    """A folder, the training on it, and the last run, which the `service` answers with as soon as it has a model."""

    def __init__(self, folder: TeachingFolder, service: Service, run: Path | None) -> None:
        self.folder = folder
        self.run = run
        self.training = BackgroundTraining(self._use, folder.hold_for_training)
        self._service = service
        self._threads = ThreadPoolExecutor(_THREADS, "teaching")
        self._checking = asyncio.Lock()

    def status(self) -> dict[str, Any]:
        """Return what the page shows at any time."""
        status, versions = self.training.status, self.folder.versions()
        return {
            "folder": valid_text(str(self.folder.path)),
            "classes": [
                {"name": name, "images": count, "version": versions.get(name, "")}
                for name, count in self.folder.classes().items()
            ],
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

    def train(self) -> None:
        """Start `finetune train --data FOLDER`; DataError if it would fail at once."""
        filled = sum(count > 0 for count in self.folder.classes().values())
        if filled < 2:
            raise DataError(f"training needs images in at least two classes, and {filled} has some; add images")
        self.training.start(TrainConfig(data=self.folder.path))

    async def findings(self) -> list[dict[str, Any]]:
        """Return what `finetune check FOLDER` finds, kind by kind, hard before soft; DataError without any class."""
        async with self._checking:  # it uses all cores
            checked = await self.in_thread(check, self.folder.path)
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


def add_teaching(app: FastAPI, teaching: Teaching) -> None:
    """Add the page /teach and the routes below /v1/teach."""
    app.add_exception_handler(NotInFolderError, partial(_failed, 404))
    app.add_exception_handler(DataError, partial(_failed, 409))
    app.add_exception_handler(OSError, _disk)
    routes = APIRouter(prefix="/v1/teach", responses=_REFUSED)
    _add_folder(routes, teaching)
    _add_images(routes, teaching)
    _add_results(routes, teaching)
    app.include_router(routes)
    add_files(app, PAGE, start="teach.html", route="/teach")


def _add_folder(routes: APIRouter, teaching: Teaching) -> None:
    folder = teaching.folder

    @routes.get("", summary="Classes, their images, and the training")
    async def status() -> dict[str, Any]:
        """The folder, how many images each class has, how far a training is, and the run that answers."""
        return await teaching.in_thread(teaching.status)

    @routes.post("/classes", summary="Add a class", status_code=201)
    async def add_class(wanted: ClassToName) -> dict[str, str]:
        """A new folder for its images."""
        return {"name": await teaching.in_thread(folder.add_class, wanted.name)}

    @routes.patch("/classes/{old}", summary="Rename a class")
    async def rename_class(old: str, wanted: ClassToName) -> dict[str, str]:
        """Its folder gets the new name."""
        return {"name": await teaching.in_thread(folder.rename_class, old, wanted.name)}

    @routes.delete("/classes/{name}", summary="Delete a class", status_code=204)
    async def delete_class(name: str) -> None:
        """Its folder moves to `.deleted` in the folder that is taught from."""
        await teaching.in_thread(folder.delete_class, name)


def _add_images(routes: APIRouter, teaching: Teaching) -> None:
    folder = teaching.folder

    @routes.get("/classes/{name}/images", summary="The images of a class")
    async def images(name: str, most: Annotated[int, Query(ge=1)] = SHOWN_IMAGES) -> list[str]:
        """Their names, the newest first."""
        return await teaching.in_thread(folder.newest, name, most)

    @routes.post("/classes/{name}/images", summary="Add an image", status_code=201, openapi_extra=_IMAGE)
    async def add_image(name: str, request: Request) -> dict[str, Any]:
        """The body is an image in any format; it is kept as an upright JPEG without EXIF, and once."""
        image, new = await teaching.in_thread(folder.add, name, await request.body())
        return {"image": image, "new": new}

    @routes.get("/images/{image:path}", summary="A small copy of an image", response_class=Response)
    async def small_image(image: str) -> Response:
        """A JPEG of at most 160 × 160 pixels."""
        path = await teaching.in_thread(folder.image, image)
        jpeg = await teaching.in_thread(thumbnail, path)
        if jpeg is None:
            raise HTTPException(404, f"{image} cannot be read")
        return Response(jpeg, media_type="image/jpeg")

    @routes.patch("/images/{image:path}", summary="Relabel an image")
    async def relabel(image: str, wanted: ClassToName) -> dict[str, str]:
        """It moves to the class that is named."""
        return {"image": await teaching.in_thread(folder.relabel, image, wanted.name)}

    @routes.delete("/images/{image:path}", summary="Delete an image", status_code=204)
    async def delete(image: str) -> None:
        """It moves to `.deleted` in the folder that is taught from."""
        await teaching.in_thread(folder.delete, image)


def _add_results(routes: APIRouter, teaching: Teaching) -> None:
    @routes.get("/check", summary="What is wrong or unusual about the images")
    async def findings() -> list[dict[str, Any]]:
        """What `finetune check` finds, kind by kind, with the first messages and images of each."""
        return await teaching.findings()

    @routes.post("/training", summary="Train", status_code=202)
    async def train() -> dict[str, str]:
        """Start `finetune train --data FOLDER`; `GET /v1/teach` shows how far it is."""
        await teaching.in_thread(teaching.train)
        return {"stage": "running"}

    @routes.get("/model", summary="The model", response_class=FileResponse)
    async def model() -> FileResponse:
        """`model.safetensors` of the last run, for `finetune predict --model`."""
        return _download(teaching.run and Run(teaching.run).model, "the model")

    @routes.get("/report", summary="The report", response_class=FileResponse)
    async def report() -> FileResponse:
        """`report.html` of the last run."""
        return _download(teaching.run and Run(teaching.run).report, "the report")

    @routes.get("/images.zip", summary="All images", response_class=StreamingResponse)
    async def archive() -> StreamingResponse:
        """A zip with a folder for each class."""
        files = await teaching.in_thread(lambda: list(teaching.folder.images()))
        headers = {"Content-Disposition": 'attachment; filename="images.zip"'}
        return StreamingResponse(zip_stream(files), media_type="application/zip", headers=headers)


def _download(path: Path | None, what: str) -> FileResponse:
    if path is None or not path.is_file():
        raise HTTPException(404, f"{what} is not written yet; train first")
    return FileResponse(path, filename=path.name)


async def _failed(status: int, _: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status)


async def _disk(_: Request, error: Exception) -> Response:
    """Answer for a disk that is full or refuses; nothing that was there has changed."""
    reason = getattr(error, "strerror", None) or type(error).__name__
    return JSONResponse({"error": f"the folder cannot be written ({reason}); fix that and try again"}, 507)
