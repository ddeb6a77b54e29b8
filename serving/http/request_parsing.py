"""What a prediction request asks for: its inputs and tags, whatever way they came. Nothing here is trusted."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

import orjson

from serving.http.multipart import parts_of
from serving.learner.adapters import Adapter
from serving.learner.adapters.text import raw_text
from serving.learner.adapters.vision import media_type_of
from serving.settings import ServingSettings
from store.errors import BadInput
from store.recording.batches import RawInput

TAGS_HEADER = "tidegate-tags"
_TAGS_BYTES = 2_048
_FIELDS = 8
_MOST_FIELDS = 1_000

Headers = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What a caller asks for. `field` names an input for error messages, such as `rows[{}]`."""

    inputs: list[RawInput]
    tags: dict[str, Any] | None
    field: str


def parse_request(headers: Headers, body: bytes, adapter: Adapter, settings: ServingSettings) -> PredictionRequest:
    """The inputs and tags of a request.

    Args:
        headers: by lower-case name.
        body: whole.
        adapter: the learner's, which says what an input is.
        settings: the limits.

    Raises:
        BadInput: empty, too many, of the wrong kind, or not readable.
    """
    content_type = headers.get(b"content-type", b"")
    kind = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    read = {"pictures": _pictures, "rows": _rows, "texts": _texts}[adapter.takes]
    found = read(kind, content_type, body, settings)
    if len(found.inputs) > settings.maximum_items:
        raise BadInput(
            f"{len(found.inputs):,} inputs came, and at most {settings.maximum_items:,} are taken at once. Send fewer.",
            status=413,
        )
    sent = headers.get(TAGS_HEADER.encode())
    return replace(found, tags=parse_tags(sent)) if found.tags is None and sent is not None else found


def form_fields(headers: Headers, body: bytes) -> dict[str, str]:
    """The text fields of a form that a page sent.

    Raises:
        BadInput: not readable.
    """
    content_type = headers.get(b"content-type", b"")
    if content_type.startswith(b"application/x-www-form-urlencoded"):
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
        except ValueError as error:
            raise BadInput(f"The form can't be read: {error}", status=400) from error
    parts = parts_of(content_type, body, most=_MOST_FIELDS)
    return {part.name: part.content.decode("utf-8", "replace") for part in parts if part.file_name is None}


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


def _pictures(kind: str, content_type: bytes, body: bytes, settings: ServingSettings) -> PredictionRequest:
    if kind.startswith("image/") or kind == "application/octet-stream":
        if not body:
            raise BadInput("The body is empty. Send the bytes of an image.")
        return PredictionRequest([RawInput(media_type_of(body), body)], None, "body")
    if kind == "multipart/form-data":
        return _form(content_type, body, settings)
    if kind == "application/json":
        raise BadInput(
            "This learner takes pictures, not JSON. Send multipart/form-data with the field `file`, "
            "or the bytes of one image with its content type.",
            status=415,
        )
    raise BadInput(
        f"The content type {kind or 'is missing and'} can't be used. Send multipart/form-data with the field `file`, "
        "or the bytes of one image with its content type, such as image/png.",
        status=415,
    )


def _form(content_type: bytes, body: bytes, settings: ServingSettings) -> PredictionRequest:
    parts = parts_of(content_type, body, most=settings.maximum_items + _FIELDS)
    contents = [part.content for part in parts if part.name == "file" and part.file_name is not None]
    if not contents:
        text = any(part.name == "file" for part in parts)
        why = "its parts named `file` carry no file name" if text else "it has no part named `file`"
        raise BadInput(f"The form holds no picture: {why}. Send it as curl -F file=@picture.png does.", field="file")
    tags = next((part.content for part in parts if part.name == "tags" and part.file_name is None), None)
    inputs = [RawInput(media_type_of(content), content) for content in contents]
    return PredictionRequest(inputs, None if tags is None else parse_tags(tags), "file[{}]")


def _rows(kind: str, _content_type: bytes, body: bytes, _settings: ServingSettings) -> PredictionRequest:
    if kind != "application/json":
        raise BadInput(
            f'This learner takes rows. Send JSON: {{"rows": [...]}} as application/json, not {kind or "nothing"}.',
            status=415,
        )
    rows, tags = _listed(body, "rows", '{"rows": [{"column": value}]}')
    return PredictionRequest([RawInput("application/json", orjson.dumps(row)) for row in rows], tags, "rows[{}]")


def _texts(kind: str, _content_type: bytes, body: bytes, _settings: ServingSettings) -> PredictionRequest:
    if kind == "text/plain":
        if not body:
            raise BadInput("The body is empty. Send a text.")
        return PredictionRequest([RawInput("text/plain", body)], None, "body")
    if kind != "application/json":
        raise BadInput(
            f'This learner takes texts. Send JSON: {{"texts": ["..."]}}, or one text as text/plain, not '
            f"{kind or 'nothing'}.",
            status=415,
        )
    texts, tags = _listed(body, "texts", '{"texts": ["a text"]}')
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(f"A text must be a string, and {type(text).__name__} came.", field=f"texts[{place}]")
    return PredictionRequest([raw_text(text) for text in texts], tags, "texts[{}]")


def _listed(body: bytes, name: str, example: str) -> tuple[list[Any], dict[str, Any] | None]:
    """The inputs and tags of a JSON body."""
    if not body:
        raise BadInput(f"The body is empty. Send JSON: {example}.")
    found = _parse(body, "body")
    if not isinstance(found, dict) or not isinstance(found.get(name), list):
        raise BadInput(f"The body must be an object with a list of {name}: {example}.", field=name)
    unknown = sorted(set(found) - {name, "tags"})
    if unknown:
        raise BadInput(
            f"The body has {unknown[0]!r}, which means nothing here. Send `{name}` and `tags`.", field=unknown[0]
        )
    if not found[name]:
        raise BadInput(f"The list of {name} is empty. Send at least one.", field=name)
    return found[name], check_tags(found["tags"]) if found.get("tags") is not None else None


def _parse(content: bytes, field: str) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(
            f"This is not JSON: {error}. Numbers must be finite: write null, not NaN.", field=field, status=400
        ) from error
