"""Reads a prediction request: its inputs and tags, whatever way they came. Nothing here is trusted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from serving.adapters.vision import media_type_of
from serving.settings import ServingSettings
from store.errors import BadInput
from store.predictions import RawInput

TAGS_HEADER = "tidegate-tags"
_TAGS_BYTES = 2_048


@dataclass(frozen=True)
class PredictionRequest:
    """What a caller asks for. `field` names an input for error messages, such as `rows[{}]`."""

    inputs: list[RawInput]
    tags: dict[str, Any] | None
    field: str


async def read_request(request: Request, application: str, settings: ServingSettings) -> PredictionRequest:
    """The inputs and tags of a request.

    Raises:
        BadInput: empty, too large, too many, too slow, of the wrong kind, or not readable.
    """
    async with _in_time(settings):
        return await _read(request, application, settings)


async def read_fields(request: Request, settings: ServingSettings) -> dict[str, str]:
    """The text fields of a form that a page sent.

    Raises:
        BadInput: too large, too slow, or not readable.
    """
    async with _in_time(settings), _form(request, settings) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


async def _read(request: Request, application: str, settings: ServingSettings) -> PredictionRequest:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        found = await _json(request, application, settings)
    elif application == "tabular":
        raise BadInput(
            f'This learner takes rows. Send JSON: {{"rows": [...]}} as application/json, not {kind or "nothing"}.',
            status=415,
        )
    elif kind == "multipart/form-data":
        found = await _multipart(request, settings)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        content = await _body(request, settings)
        if not content:
            raise BadInput("The body is empty. Send the bytes of an image.")
        found = PredictionRequest([RawInput(media_type_of(content), content)], None, "body")
    else:
        raise BadInput(
            f"The content type {kind or 'is missing and'} can't be used. Send multipart/form-data with the field `file`, "
            "or the bytes of one image with its content type, such as image/png.",
            status=415,
        )
    if len(found.inputs) > settings.maximum_items:
        raise BadInput(
            f"{len(found.inputs):,} inputs came, and at most {settings.maximum_items:,} are taken at once. Send fewer.",
            status=413,
        )
    if found.tags is None and TAGS_HEADER in request.headers:
        return PredictionRequest(found.inputs, parse_tags(request.headers[TAGS_HEADER].encode()), found.field)
    return found


def parse_tags(content: bytes) -> dict[str, Any]:
    """The caller's tags: a small flat JSON object of slices, such as `{"site": "berlin"}`.

    Raises:
        BadInput: it is not.
    """
    if len(content) > _TAGS_BYTES:
        raise BadInput(f"The tags take {len(content):,} bytes; at most {_TAGS_BYTES:,} are kept.", field="tags")
    return check_tags(_parse(content, "tags"))


def check_tags(tags: Any) -> dict[str, Any]:
    """See that tags are a flat object.

    Raises:
        BadInput: they are not.
    """
    if not isinstance(tags, dict) or any(isinstance(value, dict | list) for value in tags.values()):
        raise BadInput('The tags must be a flat JSON object, such as {"site": "berlin"}.', field="tags")
    if len(orjson.dumps(tags)) > _TAGS_BYTES:
        raise BadInput(f"The tags take more than {_TAGS_BYTES:,} bytes.", field="tags")
    return tags


async def _json(request: Request, application: str, settings: ServingSettings) -> PredictionRequest:
    if application != "tabular":
        raise BadInput(
            "This learner takes pictures, not JSON. Send multipart/form-data with the field `file`, "
            "or the bytes of one image with its content type.",
            status=415,
        )
    content = await _body(request, settings)
    if not content:
        raise BadInput('The body is empty. Send JSON: {"rows": [{"column": value}]}.')
    body = _parse(content, "body")
    if not isinstance(body, dict) or not isinstance(body.get("rows"), list):
        raise BadInput('The body must be an object with a list of rows: {"rows": [{"column": value}]}.', field="rows")
    unknown = sorted(set(body) - {"rows", "tags"})
    if unknown:
        raise BadInput(
            f"The body has {unknown[0]!r}, which means nothing here. Send `rows` and `tags`.",
            field=unknown[0],
        )
    if not body["rows"]:
        raise BadInput("The list of rows is empty. Send at least one.", field="rows")
    tags = check_tags(body["tags"]) if body.get("tags") is not None else None
    return PredictionRequest(
        [RawInput("application/json", orjson.dumps(row)) for row in body["rows"]], tags, "rows[{}]"
    )


async def _multipart(request: Request, settings: ServingSettings) -> PredictionRequest:
    async with _form(request, settings, max_files=settings.maximum_items + 1, max_fields=8) as form:
        files = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
        text = [name for name, part in form.multi_items() if name == "file" and not isinstance(part, UploadFile)]
        contents = [await part.read() for part in files]
        tags = form.get("tags")
    if not files:
        why = "its parts named `file` carry no file name" if text else "it has no part named `file`"
        raise BadInput(f"The form holds no picture: {why}. Send it as curl -F file=@picture.png does.", field="file")
    parsed = parse_tags(tags.encode()) if isinstance(tags, str) else None
    return PredictionRequest([RawInput(media_type_of(content), content) for content in contents], parsed, "file[{}]")


@asynccontextmanager
async def _form(request: Request, settings: ServingSettings, **limits: int) -> AsyncIterator[FormData]:
    _refuse_declared_size(request, settings)
    try:
        async with Request(request.scope, _limited_receive(request, settings)).form(**limits) as form:
            yield form
    except HTTPException as error:
        many = error.detail.startswith("Too many")
        raise BadInput(f"The form can't be read: {error.detail}", status=413 if many else 400) from error


@asynccontextmanager
async def _in_time(settings: ServingSettings) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(settings.body_seconds):
            yield
    except TimeoutError as error:
        raise BadInput(
            f"The body did not arrive within {settings.body_seconds:g} seconds. Send it again, in one go.", status=408
        ) from error


async def _body(request: Request, settings: ServingSettings) -> bytes:
    _refuse_declared_size(request, settings)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > settings.maximum_body_bytes:
            raise _too_large(settings)
    return bytes(content)


def _limited_receive(request: Request, settings: ServingSettings) -> Any:
    chunks: AsyncIterator[bytes] = request.stream()
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        async for chunk in chunks:
            taken += len(chunk)
            if taken > settings.maximum_body_bytes:
                raise _too_large(settings)
            return {"type": "http.request", "body": chunk, "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


def _refuse_declared_size(request: Request, settings: ServingSettings) -> None:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > settings.maximum_body_bytes:
        raise _too_large(settings)


def _too_large(settings: ServingSettings) -> BadInput:
    return BadInput(
        f"The body is larger than the {settings.maximum_body_bytes:,} bytes that are taken. Send fewer or smaller inputs.",
        status=413,
    )


def _parse(content: bytes, field: str) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(
            f"This is not JSON: {error}. Numbers must be finite: write null, not NaN.", field=field, status=400
        ) from error
