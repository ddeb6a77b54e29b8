"""What is served, as JSON: names, and the versions behind each."""

from fastapi import APIRouter
from fastapi.responses import Response

from serving.http.app_state import Shared, json_response
from serving.http.served_models import describe_deployment, describe_gateway

router = APIRouter(tags=["model"])


@router.get("/v1/model")
def model(state: Shared) -> Response:
    """The default model: hash, task, classes, and the reference it is compared with."""
    return json_response(describe_gateway(state.deployments.default.live))


@router.get("/v1/models")
def models(state: Shared) -> Response:
    """Every served name, with the versions behind it."""
    return json_response({"models": [describe_deployment(state, deployment) for deployment in state.deployments.all]})


@router.get("/v1/models/{name}")
def model_by_name(name: str, state: Shared) -> Response:
    """One served name, with the versions behind it: how a shadow agrees, how each stands to its training data."""
    return json_response(describe_deployment(state, state.deployments.named(name)))
