"""What predictions add up to over time: a page and its JSON share an address."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from reports.history_page import SPANS, document, history, history_page
from serving.http.negotiation import wants_html
from serving.http.state import Shared, json_response, origin_of
from store.errors import NotFound

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
    store = state.store
    first = [one.live.model.sha256 for one in state.deployments.all] + [one.sha256 for one in state.elsewhere()]
    asked = model or next(iter(first), None)
    known = [] if asked is None else store.models.matching(asked)
    if not known:
        raise NotFound(f"No model {asked or ''} was ever served from this database, or registered.")
    served = {
        gateway.model.sha256: gateway.reference for one in state.deployments.all for gateway in one.by_role.values()
    }
    # Of several of one name, the one that is served.
    chosen = next((one for one in known if one.sha256 in served), known[0])
    reference = served.get(chosen.sha256)
    if chosen.sha256 not in served and chosen.reference_sha256 is not None:
        reference = state.ingest.for_model(chosen.sha256).reference
    found = history(store, chosen, reference, span, store.database.utc_now())
    if not wants_html(request):
        return json_response(document(found))
    names = list(dict.fromkeys(one.name for one in store.models.all()))
    return HTMLResponse(history_page(found, names, origin_of(request)))
