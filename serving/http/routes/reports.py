"""Drift reports: a page and its JSON share an address."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response

from reports import pages
from reports.drift import DriftReport, OnSite
from serving.http.negotiation import wants_html
from serving.http.state import Shared, json_response, origin_of
from store.repositories.runs import RunRecord
from store.store import Store

router = APIRouter(tags=["reports"])

RunId = Annotated[UUID, Path(description="the run's id")]


@router.get("/reports")
def listing(request: Request, state: Shared) -> Response:
    """The windows the monitor looked at, the latest first. HTML for browsers, else JSON."""
    store = state.store
    if wants_html(request):
        return HTMLResponse(pages.reports(store, origin_of(request)))
    reported = {entry.run_id for entry in store.reports.recent()}
    return json_response({"reports": [_line(run, run.id in reported) for run in store.runs.recent(limit=pages.RUNS)]})


@router.get("/reports/{run_id}.json")
def as_json(run_id: RunId, state: Shared) -> Response:
    """One report's document."""
    return json_response(state.store.reports.document(run_id))


@router.get("/reports/{run_id}.html", response_class=HTMLResponse)
def as_file(run_id: RunId, state: Shared) -> Response:
    """One report as a single file that opens offline."""
    return HTMLResponse(DriftReport(state.store.reports.document(run_id)).html())


@router.get("/reports/{run_id}/columns", response_class=HTMLResponse)
def columns(run_id: RunId, state: Shared) -> Response:
    """Evidently's report on the recorded columns."""
    return HTMLResponse(state.store.reports.columns_page(run_id))


@router.get("/reports/{run_id}")
def one(run_id: RunId, request: Request, state: Shared) -> Response:
    """One report. HTML for browsers, else JSON."""
    store = state.store
    document = store.reports.document(run_id)
    if not wants_html(request):
        return json_response(document)
    on_site = OnSite(origin_of(request), _columns_address(store, run_id), store.runs.get(run_id).replaced_by)
    return HTMLResponse(DriftReport(document).html(on_site))


def _columns_address(store: Store, run_id: UUID) -> str | None:
    return f"/reports/{run_id}/columns" if store.reports.has_columns_page(run_id) else None


def _line(run: RunRecord, reported: bool) -> dict[str, Any]:
    return {
        "id": str(run.id),
        "model": run.model_sha256,
        "since": run.since,
        "until": run.until,
        "count": run.count,
        "flagged": run.flagged,
        "verdict": run.verdict.value,
        "sentence": run.sentence,
        "report": f"/reports/{run.id}" if reported else None,
        "replaced_by": run.replaced_by,
    }
