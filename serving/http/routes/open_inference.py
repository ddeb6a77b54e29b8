"""The Open Inference Protocol V2, which the clients of Triton, KServe and others speak."""

from importlib.metadata import version as version_of

from fastapi import APIRouter
from fastapi.responses import Response

from serving.http.app_state import Shared, json_response
from serving.http.prediction_routes import add_prediction_routes
from serving.http.protocols.open_inference import OpenInferenceV2, error_response
from serving.open_inference.metadata import model_metadata
from serving.rollout.traffic_plan import Role
from store.errors import TidegateError

router = APIRouter(tags=["open inference protocol"])

EXTENSIONS = ["binary_tensor_data"]


@router.get("/v2")
def server() -> Response:
    """What this server is."""
    return json_response({"name": "tidegate", "version": version_of("tidegate"), "extensions": EXTENSIONS})


@router.get("/v2/health/live")
async def live() -> Response:
    """The process answers."""
    return json_response({"live": True})


@router.get("/v2/health/ready")
def ready(state: Shared) -> Response:
    """Every model is loaded and the database answers."""
    is_ready = state.why_not_ready() is None
    return json_response({"ready": is_ready}, 200 if is_ready else 503)


@router.get("/v2/models/{name}")
@router.get("/v2/models/{name}/versions/{version}")
def model(name: str, state: Shared, version: str | None = None) -> Response:
    """Names, datatypes and shapes of a model's tensors."""
    try:
        deployment = state.deployments.named(name)
        gateway = deployment.live if version is None else deployment.version(version)
    except TidegateError as error:
        return error_response(error)
    versions = [served.model.sha256 for role, served in deployment.by_role.items() if role is not Role.SHADOW]
    return json_response(model_metadata(gateway, deployment.name, versions))


@router.get("/v2/models/{name}/ready")
@router.get("/v2/models/{name}/versions/{version}/ready")
def model_ready(name: str, state: Shared, version: str | None = None) -> Response:
    """A model is loaded and its predictions can be recorded."""
    try:
        deployment = state.deployments.named(name)
        gateway = deployment.live if version is None else deployment.version(version)
    except TidegateError as error:
        return error_response(error)
    is_ready = gateway.ready and state.why_not_ready() is None
    return json_response({"name": deployment.name, "ready": is_ready}, 200 if is_ready else 503)


add_prediction_routes(router, OpenInferenceV2)
