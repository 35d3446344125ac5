"""The routes and the page that `finetune teach` adds to the app of `finetune serve`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel

from finetune.data.thumbnails import thumbnail
from finetune.errors import DataError
from finetune.runs.run import Run
from finetune.serving.app import add_files
from finetune.serving.schema import Refusal, refusals
from finetune.serving.teaching import Teaching
from finetune.serving.teaching_folder import NotInFolderError
from finetune.serving.zip_stream import zip_stream

SHOWN_IMAGES = 48  # of a class, unless a page asks for more
PAGE = Path(__file__).parent / "teach_page"

_REFUSED: dict[int | str, dict[str, Any]] = {
    **refusals(413, 422),
    404: {"model": Refusal, "description": "There is no such class, image or file."},
    409: {"model": Refusal, "description": "An existing class or image, or a running training, is in the way."},
    507: {"model": Refusal, "description": "The disk is full or refuses."},
}
_IMAGE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One image as it is.",
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class ClassToName(BaseModel):
    """The name of a class: to add it, to rename one to it, or to move an image to it."""

    name: str


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
        return await teaching.in_thread(teaching.findings)

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
