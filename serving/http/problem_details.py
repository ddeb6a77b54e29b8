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
    """The body for an error: what happened, what it means, what to do."""
    statuses = (_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    status = error.status if isinstance(error, BadInput) else next(statuses, 500)
    members: dict[str, Any] = {"field": error.field, "curl": error.curl} if isinstance(error, BadInput) else {}
    if isinstance(error, AllRefused):
        members["errors"] = [problem(refused) for refused in error.errors]
    present = {name: value for name, value in members.items() if value is not None}
    return details(error.title, status, str(error), **present)


def details(title: str, status: int, detail: str, **members: Any) -> dict[str, Any]:
    """Problem details, with members of Tidegate's own behind the standard's."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}


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
    """The response for an error; one that is not the caller's fault is logged for the operator."""
    if not isinstance(error, BadInput | NotFound):
        logger.error("%s: %s", type(error).__name__, error)
    return response_for(error)


def unexpected_error_response(error: Exception) -> Response:
    """The response for an exception that is a fault of the gateway; it is logged."""
    logger.error("a request failed in an unforeseen way", exc_info=error)
    detail = "This is a fault of the gateway, not of the request. Its log has the details."
    return response(details("Tidegate failed", 500, detail), {})


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""

    async def tidegate_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, TidegateError)
        if isinstance(error, NotFound) and wants_html(request):
            return HTMLResponse(pages.missing(error.title, str(error)), 404)
        return error_response(error)

    async def validation_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"])
        return response_for(BadInput(f"{field}: {first['msg']}.", field=field))

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404 and wants_html(request):
            return HTMLResponse(
                pages.missing("There is no such page", f"{request.url.path} is not an address here."), 404
            )
        body = details(str(error.detail), error.status_code, str(error.detail))
        return response(body, dict(error.headers or {}))

    async def unexpected_error(_request: Request, error: Exception) -> Response:
        return unexpected_error_response(error)

    app.add_exception_handler(TidegateError, tidegate_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, unexpected_error)


def response(body: dict[str, Any], headers: dict[str, str]) -> Response:
    """A problem's body as a response."""
    return Response(orjson.dumps(body), body["status"], headers, "application/problem+json")
