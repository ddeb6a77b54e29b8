"""The overview, the API's page, and the files that pages need."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from reports import pages
from serving.routes.state import Shared, curl_line

router = APIRouter(include_in_schema=False)


@router.get("/")
def index(request: Request, state: Shared) -> Response:
    gateway = state.gateway
    curl = curl_line(gateway, request)
    return HTMLResponse(pages.index(gateway.store, gateway.model, gateway.reference, state.monitor, curl))


@router.get("/docs")
def api() -> Response:
    return HTMLResponse(pages.api())
