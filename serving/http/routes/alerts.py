"""Alerts, as JSON and as a page."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from reports import pages
from serving.http.state import Shared, json_response, origin_of
from store.repositories.alerts import AlertState

router = APIRouter(tags=["alerts"])


@router.get("/v1/alerts")
def alerts(
    state: Shared, is_: Annotated[Literal["firing", "resolved"] | None, Query(alias="state")] = None
) -> Response:
    """Every alert, or those firing or resolved; with the latest changes of state."""
    store = state.store
    chosen = store.alerts.all(None if is_ is None else AlertState(is_))
    return json_response(
        {
            "alerts": [asdict(alert) for alert in chosen],
            "events": [asdict(event) for event in store.alerts.events(limit=50)],
            "notices": [asdict(notice) for notice in store.system_alerts.all()],
        }
    )


@router.get("/alerts", include_in_schema=False)
def page(request: Request, state: Shared) -> Response:
    return HTMLResponse(pages.alerts(state.store, state.monitor.destinations, origin_of(request)))
