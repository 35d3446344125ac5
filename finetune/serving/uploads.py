"""From the body of a request to the images in it: raw bytes, a form with files, or JSON with base64."""

import base64
import binascii
import json
from typing import Any, NamedTuple

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

MOST_IMAGES = 64  # in one request


class Upload(NamedTuple):
    """An image file in a request; `name` is what the client calls it, and is never opened."""

    name: str | None
    data: bytes


async def read_uploads(request: Request) -> list[Upload]:
    """Return the images in a request, by its Content-Type.

    multipart/form-data: every part with a file name. application/json: {"images": [{"base64": …, "name": …}]}. Any
    other type: the body is one image. Raises HTTPException for an empty body, one that cannot be understood and one
    with more than MOST_IMAGES.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        uploads = await _from_form(request)
    elif kind == "application/json":
        uploads = await run_in_threadpool(_from_json, await request.body())
    else:
        body = await request.body()
        uploads = [Upload(None, body)] if body else []
    if not uploads:
        raise HTTPException(422, "expected one or more images in the body, found none; /docs has examples")
    if len(uploads) > MOST_IMAGES:
        raise HTTPException(413, f"{len(uploads)} images are more than the limit of {MOST_IMAGES}; send them in parts")
    return uploads


async def _from_form(request: Request) -> list[Upload]:
    async with request.form(max_files=MOST_IMAGES, max_fields=MOST_IMAGES) as form:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        return [Upload(file.filename or None, await file.read()) for file in files]


def _from_json(body: bytes) -> list[Upload]:
    try:
        content: Any = json.loads(body)
        return [
            Upload(_name(image.get("name")), base64.b64decode(image["base64"], validate=True))
            for image in content["images"]
        ]
    except (ValueError, binascii.Error, KeyError, TypeError, AttributeError, RecursionError):
        raise HTTPException(
            422, 'expected JSON like {"images": [{"base64": "…", "name": "ant.jpg"}]}, where name may be omitted'
        ) from None


def _name(name: Any) -> str | None:
    if not (name is None or isinstance(name, str)):
        raise TypeError
    return name
