"""Predictions added up over time: a page and its JSON share an address."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from monitor.history.query import SPANS, read_history
from monitor.overview.versions import list_model_names
from reports.history_page import history_page
from reports.json_documents import history_document
from serving.http.app_state import Shared, json_response, origin_of
from serving.http.negotiation import wants_html
from serving.http.served_models import find_model

router = APIRouter(tags=["reports"])


@router.get("/history")
def over_time(
    request: Request,
    state: Shared,
    model: Annotated[
        str | None, Query(description="a name or the beginning of a SHA-256; the default is the first")
    ] = None,
    span: Annotated[str, Query(description=f"how far back: {', '.join(SPANS)}")] = "day",
) -> Response:
    """Counts, flagged shares, quantiles of scores and confidences, in all and by slice. HTML for browsers, else JSON."""
    chosen = find_model(state, model or None)
    history = read_history(state.store, chosen.model, chosen.reference, span, state.store.database.utc_now())
    if not wants_html(request):
        return json_response(history_document(history))
    return HTMLResponse(history_page(history, list_model_names(state.store), origin_of(request)))
