"""Drift reports: a page and its JSON share an address."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response

from monitor.overview.runs import list_runs, read_report
from reports import pages
from reports.drift import DriftReport, OnSite
from reports.json_documents import runs_document
from serving.http.app_state import Shared, json_response, origin_of
from serving.http.negotiation import wants_html

router = APIRouter(tags=["reports"])

RunId = Annotated[UUID, Path(description="the run's id")]


@router.get("/reports")
def listing(request: Request, state: Shared) -> Response:
    """The windows the monitor looked at, the latest first. HTML for browsers, else JSON."""
    runs = list_runs(state.store)
    if wants_html(request):
        return HTMLResponse(pages.reports(runs, origin_of(request)))
    return json_response(runs_document(runs))


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
    if not wants_html(request):
        return as_json(run_id, state)
    report = read_report(state.store, run_id)
    columns_page = f"/reports/{run_id}/columns" if report.has_columns_page else None
    on_site = OnSite(origin_of(request), columns_page, report.replaced_by)
    return HTMLResponse(DriftReport(report.document).html(on_site))
