"""The FastAPI app: the page `/`, the API below `/v1`, its reference, health and metrics.

`finetune teach` adds a router and a second view. Everything that takes bytes from a client goes through `Guard`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from finetune import __version__
from finetune.errors import FinetuneError, ImageError, UsageError
from finetune.serving.batches import QueueFullError
from finetune.serving.counters import RequestCounts, gauge
from finetune.serving.guard import Guard, unavailable
from finetune.serving.schema import (
    IMAGES,
    PNG,
    REFUSALS,
    AboutModel,
    FeaturesRow,
    Health,
    PredictionRow,
    UnreadRow,
    refusals,
)
from finetune.serving.service import Service
from finetune.serving.uploads import read_uploads
from finetune.system.page_template import page_template

PAGE = Path(__file__).parent / "page"


def create_app(service: Service, token: str | None = None) -> FastAPI:
    """Return the app; `token` is the guard's. `app.state` has `service` and `counts`."""
    counts = RequestCounts()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    app = FastAPI(title="finetune", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.service = service
    app.state.counts = counts
    app.add_middleware(Guard, token=token, counts=counts)
    app.exception_handler(StarletteHTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(FinetuneError)(_finetune_error)
    app.exception_handler(QueueFullError)(_queue_full)
    _add_api(app, service)
    _add_pages(app, service, counts)
    return app


def _add_api(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        summary="Classify images",
        responses=_answers(list[PredictionRow | UnreadRow]),
        openapi_extra=IMAGES,
    )
    async def predict(request: Request, top: Annotated[int, Query(ge=1)] = 5, ten_crop: bool = False) -> Response:
        """The rows of finetune predict --json: the most probable classes of each image."""
        return JSONResponse(await service.predict(await read_uploads(request), top, ten_crop))

    @app.post(
        "/v1/features",
        summary="Compute features",
        responses=_answers(list[FeaturesRow | UnreadRow]),
        openapi_extra=IMAGES,
    )
    async def features(request: Request, layers: str | None = None) -> Response:
        """The outputs of layers, their names separated by commas, for each image; by default of the last but one."""
        names = layers.lower().split(",") if layers is not None else [service.model.last_but_one]
        rows = await service.features(await read_uploads(request), names)
        return Response(rows, media_type="application/json")

    @app.post(
        "/v1/explain",
        summary="Draw what speaks for a class",
        response_class=Response,
        responses={**PNG, **refusals(413, 422)},
        openapi_extra=IMAGES,
    )
    async def explain(request: Request, label: str | None = None) -> Response:
        """A Grad-CAM map of one image as a PNG that fits over it; by default of the predicted class."""
        uploads = await read_uploads(request)
        if len(uploads) > 1:
            raise HTTPException(422, f"expected one image, found {len(uploads)}; send a request for each")
        return Response(await service.explain(uploads[0], label), media_type="image/png")

    @app.get(
        "/v1/model",
        summary="Describe the model",
        response_model=AboutModel,
        response_model_exclude_unset=True,
        response_description="What is known.",
        responses=refusals(),
    )
    async def model() -> dict[str, Any]:
        """Its classes, network, digest and accuracy."""
        return await service.about()


def _add_pages(app: FastAPI, service: Service, counts: RequestCounts) -> None:
    @app.get("/healthz", summary="Say that it answers", response_model=Health, responses=refusals())
    async def healthz() -> dict[str, Any]:
        """For programs that watch the server."""
        return {"status": "ok", "tensorflow": service.model.with_tensorflow}

    @app.get("/metrics", summary="Count requests", response_class=PlainTextResponse, responses=refusals())
    async def metrics() -> str:
        """Requests, their times, images, batches and what waits, as Prometheus reads them."""
        batches = service.batches
        return (
            counts.text()
            + gauge("finetune_images_total", "counter", batches.images)
            + gauge("finetune_batches_total", "counter", batches.batches)
            + gauge("finetune_images_waiting", "gauge", batches.waiting())
            + gauge("finetune_tensorflow", "gauge", service.model.with_tensorflow)
        )

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        template = page_template("finetune.serving", "reference.html.j2")
        page = template.render(api=app.openapi(), base=str(request.base_url).rstrip("/"), refusals=REFUSALS)
        return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"})

    add_files(app, PAGE, start="index.html", route="/")


def add_files(app: FastAPI, folder: Path, start: str, route: str) -> None:
    """Add the files of a page: `start` at `route`, the others next to it under their names."""
    for path in sorted(folder.iterdir()):
        app.get(route if path.name == start else f"/{path.name}", include_in_schema=False)(_file(path))


def _file(path: Path) -> Callable[[], Awaitable[FileResponse]]:
    """Return the route that sends a file; only those that are in the package can be asked for."""

    async def send() -> FileResponse:
        return FileResponse(path)

    return send


def _answers(rows: Any) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": rows, "description": "One row for each image, in order."}, **refusals(413, 422)}


async def _http_error(_: Request, error: StarletteHTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    fault = error.errors()[0]
    return JSONResponse({"error": f"{fault['loc'][-1]}: {fault['msg']}"}, 422)


async def _finetune_error(_: Request, error: FinetuneError) -> Response:
    status = 422 if isinstance(error, UsageError | ImageError) else 500
    return JSONResponse({"error": str(error)}, status)


async def _queue_full(request: Request, _: QueueFullError) -> Response:
    return await _http_error(request, unavailable("as many images wait as the queue holds; try again"))
