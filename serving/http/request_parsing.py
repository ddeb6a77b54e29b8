"""The inputs and tags in the body of a prediction request, in whatever way they came. Nothing here is trusted."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import orjson

from serving.http.json_parsing import parse_json
from serving.http.multipart import parse_form
from serving.http.prediction_protocol import ParsedInputs
from serving.http.request_headers import TAGS_HEADER, Headers
from serving.http.request_tags import check_tags, parse_tags
from serving.learner.adapters import Adapter
from serving.learner.adapters.text import raw_text
from serving.learner.adapters.vision import media_type_of
from serving.settings import ServingSettings
from store.errors import BadInput
from store.recording.prediction_batch import RawInput

# Parts of a form beside its pictures, and fields of a form that a page sent.
_OTHER_PARTS = 8
_MAXIMUM_FIELDS = 1_000


def parse_request(headers: Headers, body: bytes, adapter: Adapter, settings: ServingSettings) -> ParsedInputs:
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
    parse = {"pictures": _parse_pictures, "rows": _parse_rows, "texts": _parse_texts}[adapter.takes]
    parsed = parse(kind, content_type, body, settings)
    if len(parsed.inputs) > settings.maximum_items:
        raise BadInput(
            f"{len(parsed.inputs):,} inputs came, and at most {settings.maximum_items:,} are taken at once. Send fewer.",
            status=413,
        )
    tags = headers.get(TAGS_HEADER.encode())
    return replace(parsed, tags=parse_tags(tags)) if parsed.tags is None and tags is not None else parsed


def form_fields(headers: Headers, body: bytes) -> dict[str, str]:
    """The text fields of a form that a page sent.

    Raises:
        BadInput: not readable.
    """
    content_type = headers.get(b"content-type", b"")
    if content_type.startswith(b"application/x-www-form-urlencoded"):
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAXIMUM_FIELDS))
        except ValueError as error:
            raise BadInput(f"The form can't be read: {error}", status=400) from error
    parts = parse_form(content_type, body, maximum_parts=_MAXIMUM_FIELDS)
    return {part.name: part.content.decode("utf-8", "replace") for part in parts if part.file_name is None}


def _parse_pictures(kind: str, content_type: bytes, body: bytes, settings: ServingSettings) -> ParsedInputs:
    if kind.startswith("image/") or kind == "application/octet-stream":
        if not body:
            raise BadInput("The body is empty. Send the bytes of an image.")
        return ParsedInputs([RawInput(media_type_of(body), body)], None, "body")
    if kind == "multipart/form-data":
        return _parse_picture_form(content_type, body, settings)
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


def _parse_picture_form(content_type: bytes, body: bytes, settings: ServingSettings) -> ParsedInputs:
    parts = parse_form(content_type, body, maximum_parts=settings.maximum_items + _OTHER_PARTS)
    contents = [part.content for part in parts if part.name == "file" and part.file_name is not None]
    if not contents:
        has_text_part = any(part.name == "file" for part in parts)
        reason = "its parts named `file` carry no file name" if has_text_part else "it has no part named `file`"
        raise BadInput(f"The form holds no picture: {reason}. Send it as curl -F file=@picture.png does.", field="file")
    tags = next((part.content for part in parts if part.name == "tags" and part.file_name is None), None)
    inputs = [RawInput(media_type_of(content), content) for content in contents]
    return ParsedInputs(inputs, None if tags is None else parse_tags(tags), "file[{}]")


def _parse_rows(kind: str, _content_type: bytes, body: bytes, _settings: ServingSettings) -> ParsedInputs:
    if kind != "application/json":
        raise BadInput(
            f'This learner takes rows. Send JSON: {{"rows": [...]}} as application/json, not {kind or "nothing"}.',
            status=415,
        )
    rows, tags = _parse_list(body, "rows", '{"rows": [{"column": value}]}')
    return ParsedInputs([RawInput("application/json", orjson.dumps(row)) for row in rows], tags, "rows[{}]")


def _parse_texts(kind: str, _content_type: bytes, body: bytes, _settings: ServingSettings) -> ParsedInputs:
    if kind == "text/plain":
        if not body:
            raise BadInput("The body is empty. Send a text.")
        return ParsedInputs([RawInput("text/plain", body)], None, "body")
    if kind != "application/json":
        raise BadInput(
            f'This learner takes texts. Send JSON: {{"texts": ["..."]}}, or one text as text/plain, not '
            f"{kind or 'nothing'}.",
            status=415,
        )
    texts, tags = _parse_list(body, "texts", '{"texts": ["a text"]}')
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(f"A text must be a string, and {type(text).__name__} came.", field=f"texts[{index}]")
    return ParsedInputs([raw_text(text) for text in texts], tags, "texts[{}]")


def _parse_list(body: bytes, name: str, example: str) -> tuple[list[Any], dict[str, Any] | None]:
    """The inputs and tags of a JSON body."""
    if not body:
        raise BadInput(f"The body is empty. Send JSON: {example}.")
    document = parse_json(body, "body")
    if not isinstance(document, dict) or not isinstance(document.get(name), list):
        raise BadInput(f"The body must be an object with a list of {name}: {example}.", field=name)
    unknown = sorted(set(document) - {name, "tags"})
    if unknown:
        raise BadInput(
            f"The body has {unknown[0]!r}, which means nothing here. Send `{name}` and `tags`.", field=unknown[0]
        )
    if not document[name]:
        raise BadInput(f"The list of {name} is empty. Send at least one.", field=name)
    return document[name], check_tags(document["tags"]) if document.get("tags") is not None else None
