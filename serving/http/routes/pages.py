"""The overview, the API's page, and the files that pages need."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from reports import pages
from serving.http.routes.model import elsewhere_of, overview, versions_of
from serving.http.state import Shared, origin_of

router = APIRouter(include_in_schema=False)


@router.get("/")
def index(request: Request, state: Shared) -> Response:
    """One model's overview where one is served; else the list of them."""
    served = state.deployments.all
    return HTMLResponse(overview(request, state, served[0])) if len(served) == 1 else everything(request, state)


@router.get("/models")
def everything(request: Request, state: Shared) -> Response:
    """All that is served here, and all that the record knows beside it."""
    listed = [(one.name, one.problem, versions_of(state, one)) for one in state.deployments.all]
    elsewhere, more = elsewhere_of(state)
    return HTMLResponse(pages.models(state.store, listed, elsewhere, more, origin_of(request)))


@router.get("/docs")
def api() -> Response:
    return HTMLResponse(pages.api())
