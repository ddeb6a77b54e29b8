"""The pages of models, and the API's page."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from monitor.overview.model import read_model_overview
from monitor.overview.versions import ServedModel, list_models
from reports import pages
from serving.http.app_state import Shared, State, json_response, origin_of
from serving.http.curl_lines import curl_line, ingest_curl_line
from serving.http.negotiation import wants_html
from serving.http.served_models import describe_deployment, recorded_model, served_model, summarize_versions
from serving.rollout.deployment import Deployment
from store.repositories.models import ModelRecord

router = APIRouter(include_in_schema=False)


@router.get("/")
def index(request: Request, state: Shared) -> Response:
    """One model's overview where one is served; else the list of them."""
    deployments = state.deployments.all
    return _served_page(request, state, deployments[0]) if len(deployments) == 1 else models(request, state)


@router.get("/models")
def models(request: Request, state: Shared) -> Response:
    """All that is served here, and all that the record knows beside it."""
    served = [served_model(state, deployment) for deployment in state.deployments.all]
    return HTMLResponse(pages.models(list_models(state.store, served, state.elsewhere()), origin_of(request)))


@router.get("/models/{name}")
def model(name: str, request: Request, state: Shared) -> Response:
    """One model's overview. HTML for browsers, else JSON."""
    elsewhere = next((model for model in state.elsewhere() if model.name == name), None)
    if elsewhere is not None and wants_html(request):
        return _elsewhere_page(request, state, elsewhere)
    deployment = state.deployments.named(name)
    if not wants_html(request):
        return json_response(describe_deployment(state, deployment))
    return _served_page(request, state, deployment)


@router.get("/docs")
def api() -> Response:
    return HTMLResponse(pages.api())


def _served_page(request: Request, state: State, deployment: Deployment) -> Response:
    gateway = deployment.live
    overview = read_model_overview(state.store, gateway.model, gateway.reference, state.monitor)
    # A version that is alone and as planned is the page itself.
    show_versions = len(deployment.by_role) > 1 or deployment.problem
    versions = summarize_versions(state, deployment) if show_versions else []
    served = ServedModel(deployment.name, versions, deployment.problem)
    name = None if deployment is state.deployments.default else deployment.name
    curl = curl_line(gateway, origin_of(request), name)
    return HTMLResponse(pages.model(overview, served, curl, other_models=len(state.elsewhere())))


def _elsewhere_page(request: Request, state: State, model: ModelRecord) -> Response:
    recorded = recorded_model(state, model)
    overview = read_model_overview(state.store, model, recorded.reference, state.monitor)
    served = ServedModel(model.name, served_here=False)
    return HTMLResponse(pages.model(overview, served, ingest_curl_line(model.name, origin_of(request))))
