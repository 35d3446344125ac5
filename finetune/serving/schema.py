"""What the API takes and answers, for OpenAPI and the reference at `/docs`."""

from typing import Any

from pydantic import BaseModel, Field

from finetune.serving.uploads import MOST_IMAGES


class ClassRow(BaseModel):
    """One class of a prediction; `index` is its position among the model's classes."""

    index: int
    label: str
    probability: float = Field(ge=0, le=1)


class PredictionRow(BaseModel):
    """The most probable classes of one image, the first first; `path` is the name that came with it."""

    path: str | None
    predictions: list[ClassRow]


class FeaturesRow(BaseModel):
    """The outputs of layers for one image, as nested lists: (units,) or (height, width, channels)."""

    path: str | None
    features: dict[str, list[Any]]


class UnreadRow(BaseModel):
    """One image that cannot be read, and why."""

    path: str | None
    error: str


class Refusal(BaseModel):
    """Why a request was not answered: what was expected, what came, what to do."""

    error: str


class ModelAccuracy(BaseModel):
    """The share of `images` that are classified correctly, with its 95 % interval; `of` says which images."""

    top1: float
    interval: tuple[float, float]
    images: int
    of: str


class AboutModel(BaseModel):
    """The model; `sha256` is the digest of its file, `layers` are the names for `/v1/features`."""

    name: str
    version: str
    network: str
    options: dict[str, Any]
    parameters: int
    layers: list[str]
    preprocessing: dict[str, Any]
    temperature: float
    sha256: str
    source: dict[str, str]
    accuracy: ModelAccuracy | None
    classes: list[str]


class Health(BaseModel):
    """`tensorflow` is false for the first seconds, in which NumPy computes."""

    status: str
    tensorflow: bool


_BYTES = {"type": "string", "format": "binary"}
_ENCODED = {
    "type": "object",
    "required": ["base64"],
    "properties": {"base64": {"type": "string", "format": "byte"}, "name": {"type": ["string", "null"]}},
}


def _several(items: dict[str, Any]) -> dict[str, Any]:
    images = {"type": "array", "minItems": 1, "maxItems": MOST_IMAGES, "items": items}
    return {"type": "object", "required": ["images"], "properties": {"images": images}}


PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {"schema": _BYTES}}, "description": "The map."}}

# For `openapi_extra` of a route that reads its body with `read_uploads`.
IMAGES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One image as it is, a form with one or more files, or JSON with base64.",
        "content": {
            "image/*": {"schema": _BYTES},
            "multipart/form-data": {"schema": _several(_BYTES)},
            "application/json": {"schema": _several(_ENCODED)},
        },
    }
}

REFUSALS = {
    400: "The request cannot be understood.",
    401: "The token is missing or wrong.",
    403: "A page of another site sent it.",
    413: "More bytes or images than a request may have.",
    421: "The host asked for is not this server.",
    422: "The images or options are not what was expected.",
    503: "The queue is full, or the time is over; Retry-After says when to try again.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer these statuses, in addition to those of every route."""
    every = (400, 401, 403, 421, 503)
    return {
        status: {"model": Refusal, "description": text}
        for status, text in REFUSALS.items()
        if status in (*every, *statuses)
    }
