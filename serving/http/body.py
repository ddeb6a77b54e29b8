"""Reads a request's body within bounds of size and time. Nothing here is trusted."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.settings import ServingSettings
from store.errors import BadInput

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class CallerLeft(Exception):
    """The connection was closed before the body was whole; nobody waits for an answer."""


async def read_body(headers: dict[bytes, bytes], receive: Receive, settings: ServingSettings) -> bytes:
    """The whole body.

    Raises:
        BadInput: too large, or too slow.
        CallerLeft: before it was whole.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > settings.maximum_body_bytes:
        raise _too_large_error(settings)
    try:
        async with asyncio.timeout(settings.body_seconds):
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                # Nearly always the body comes in one piece.
                content: bytes = message.get("body", b"")
            else:
                content = await _read_pieces(message, receive, settings)
    except TimeoutError as error:
        raise BadInput(
            f"The body did not arrive within {settings.body_seconds:g} seconds. Send it again, in one go.", status=408
        ) from error
    if len(content) > settings.maximum_body_bytes:
        raise _too_large_error(settings)
    return content


async def _read_pieces(message: Message, receive: Receive, settings: ServingSettings) -> bytes:
    content = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise CallerLeft
        content += message.get("body", b"")
        if len(content) > settings.maximum_body_bytes:
            raise _too_large_error(settings)
        if not message.get("more_body", False):
            return bytes(content)
        message = await receive()


def _too_large_error(settings: ServingSettings) -> BadInput:
    return BadInput(
        f"The body is larger than the {settings.maximum_body_bytes:,} bytes that are taken. Send fewer or smaller inputs.",
        status=413,
    )
