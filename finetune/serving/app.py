"""The FastAPI app: the page `/`, the API below `/v1`, its reference, health and metrics.

`finetune teach` adds a router and a second view. Everything that takes bytes from a client goes through `Guard`.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse

from finetune import __version__
from finetune.errors import FinetuneError
from finetune.serving.batches import QueueFullError
from finetune.serving.counters import RequestCounts, gauge
from finetune.serving.guard import RETRY_SECONDS, Guard
from finetune.serving.service import Service
from finetune.serving.uploads import read_uploads

PAGE = Path(__file__).parent / "page"


def create_app(service: Service, names: Collection[str] = (), token: str | None = None) -> FastAPI:
    """Return the app; `names` and `token` are the guard's."""
    counts = RequestCounts()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    app = FastAPI(title="finetune", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.service = service
    app.state.counts = counts
    app.add_middleware(Guard, names=frozenset(names), token=token, counts=counts)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(FinetuneError, _finetune_error)
    app.add_exception_handler(QueueFullError, _queue_full)
    _add_api(app, service)
    _add_pages(app, service, counts)
    return app


def _add_api(app: FastAPI, service: Service) -> None:
    @app.post("/v1/predict", summary="Classify images")
    async def predict(
        request: Request, top: Annotated[int, Query(ge=1)] = 5, ten_crop: bool = False
    ) -> list[dict[str, Any]]:
        """The rows of `finetune predict --json`, one for each image, in order."""
        return await service.predict(await read_uploads(request), top, ten_crop)

    @app.post("/v1/features", summary="Outputs of layers")
    async def features(request: Request, layers: Annotated[str, Query()] = "fc7") -> list[dict[str, Any]]:
        """The outputs of one or more layers, separated by commas, for each image, in order."""
        return await service.features(await read_uploads(request), layers.lower().split(","))

    @app.post("/v1/explain", summary="What speaks for a class", response_class=Response)
    async def explain(request: Request, label: str | None = None) -> Response:
        """A Grad-CAM map as a PNG that fits over the image; by default of the predicted class."""
        uploads = await read_uploads(request)
        if len(uploads) > 1:
            raise HTTPException(422, f"expected one image, found {len(uploads)}; send a request for each")
        return Response(await service.explain(uploads[0], label), media_type="image/png")

    @app.get("/v1/model", summary="About the model")
    async def model() -> dict[str, Any]:
        """Classes, network, digest and metrics."""
        return await service.about()


def _add_pages(app: FastAPI, service: Service, counts: RequestCounts) -> None:
    @app.get("/healthz", summary="Whether it answers")
    async def healthz() -> dict[str, Any]:
        """`tensorflow` is false for the first seconds, in which NumPy computes."""
        return {"status": "ok", "tensorflow": service.model.with_tensorflow}

    @app.get("/metrics", summary="Counts for Prometheus", response_class=PlainTextResponse)
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

    add_files(app, PAGE, start="index.html", route="/")


def add_files(app: FastAPI, folder: Path, start: str, route: str) -> None:
    """Add the files of a page: `start` at `route`, the others next to it under their names."""

    def send(path: Path) -> None:
        @app.get(route if path.name == start else f"/{path.name}", include_in_schema=False)
        async def file() -> FileResponse:
            return FileResponse(path)

    for path in sorted(folder.iterdir()):
        send(path)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    return JSONResponse({"error": f"{fault['loc'][-1]}: {fault['msg']}"}, 422)


async def _finetune_error(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)


async def _queue_full(_: Request, error: Exception) -> Response:
    return JSONResponse(
        {"error": "as many images wait as the queue holds; try again"}, 503, {"Retry-After": str(RETRY_SECONDS)}
    )
