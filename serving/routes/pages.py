"""The overview, the API's page, and the files that pages need."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from reports import pages
from serving.routes.model import overview, versions_of
from serving.routes.state import Shared

router = APIRouter(include_in_schema=False)


@router.get("/")
def index(request: Request, state: Shared) -> Response:
    """One model's overview where one is served; else the list of them."""
    served = state.deployments.all
    if len(served) == 1:
        return HTMLResponse(overview(request, state, served[0]))
    return HTMLResponse(pages.models(state.store, [(one.name, one.problem, versions_of(state, one)) for one in served]))


@router.get("/docs")
def api() -> Response:
    return HTMLResponse(pages.api())
