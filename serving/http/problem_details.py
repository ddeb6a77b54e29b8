"""Errors as RFC 9457 problem details: one mapping for the whole gateway."""

import logging
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from reports import pages
from serving.http.negotiation import wants_html
from store.errors import AllRefused, BadInput, NotFound, Overloaded, StoreUnavailable, TidegateError, TimedOut

logger = logging.getLogger(__name__)

_STATUS: dict[type[TidegateError], int] = {
    NotFound: 404,
    Overloaded: 503,
    StoreUnavailable: 503,
    TimedOut: 503,
}


def problem(error: TidegateError) -> dict[str, Any]:
    """The body that tells a caller of an error: what happened, what it means, what to do."""
    known = (_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    status = error.status if isinstance(error, BadInput) else next(known, 500)
    more: dict[str, Any] = {"field": error.field, "curl": error.curl} if isinstance(error, BadInput) else {}
    if isinstance(error, AllRefused):
        more["errors"] = [problem(one) for one in error.errors]
    return details(
        error.title, status, str(error), **{name: value for name, value in more.items() if value is not None}
    )


def details(title: str, status: int, detail: str, **more: Any) -> dict[str, Any]:
    """Problem details, with whatever members of our own."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}


def response_for(error: TidegateError) -> Response:
    """The response for an error."""
    body = problem(error)
    headers = {}
    if isinstance(error, Overloaded):
        headers["retry-after"] = str(error.retry_after_seconds)
    elif body["status"] == 503:
        headers["retry-after"] = "5"
    return response(body, headers)


def error_response(error: TidegateError) -> Response:
    """The response for an error; the operator's log has those that are not the caller's."""
    if not isinstance(error, BadInput | NotFound):
        logger.error("%s: %s", type(error).__name__, error)
    return response_for(error)


def unexpected_error_response(error: Exception) -> Response:
    """The response for an error that no one thought of."""
    logger.error("a request failed in an unforeseen way", exc_info=error)
    detail = "This is a fault of the gateway, not of the request. Its log has the details."
    return response(details("Tidegate failed", 500, detail), {})


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, TidegateError)
        if isinstance(error, NotFound) and wants_html(request):
            return HTMLResponse(pages.missing(error.title, str(error)), 404)
        return error_response(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"])
        return response_for(BadInput(f"{field}: {first['msg']}.", field=field))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404 and wants_html(request):
            return HTMLResponse(
                pages.missing("There is no such page", f"{request.url.path} is not an address here."), 404
            )
        body = details(str(error.detail), error.status_code, str(error.detail))
        return response(body, dict(error.headers or {}))

    async def any_other(_request: Request, error: Exception) -> Response:
        return unexpected_error_response(error)

    app.add_exception_handler(TidegateError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, any_other)


def response(body: dict[str, Any], headers: dict[str, str]) -> Response:
    """A problem's body as a response."""
    return Response(orjson.dumps(body), body["status"], headers, "application/problem+json")
