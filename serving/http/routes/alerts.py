"""Alerts, as JSON and as a page."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from monitor.overview.alerts import list_alerts, read_alerts_overview
from reports import pages
from reports.json_documents import alerts_document
from serving.http.app_state import Shared, json_response, origin_of
from store.repositories.alerts import AlertState

router = APIRouter(tags=["alerts"])


@router.get("/v1/alerts")
def alerts(
    state: Shared, is_: Annotated[Literal["firing", "resolved"] | None, Query(alias="state")] = None
) -> Response:
    """Every alert, or those firing or resolved; with the latest changes of state."""
    listed = list_alerts(state.store, None if is_ is None else AlertState(is_))
    return json_response(alerts_document(listed))


@router.get("/alerts", include_in_schema=False)
def page(request: Request, state: Shared) -> Response:
    overview = read_alerts_overview(state.store)
    return HTMLResponse(pages.alerts(overview, state.monitor.destinations, origin_of(request)))
