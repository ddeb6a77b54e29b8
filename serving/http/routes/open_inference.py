"""The Open Inference Protocol V2, which the clients of Triton, KServe and others speak."""

from importlib.metadata import version as installed
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from serving.http import problem_details
from serving.http.body import CallerLeft, read_body
from serving.http.request_parsing import TAGS_HEADER, check_tags, parse_tags
from serving.http.routes.predict import PredictionTarget, caller_gone_watch, chosen, locate_errors, request_timeout
from serving.http.state import Shared, State, json_response, origin_of
from serving.open_inference import protocol
from serving.open_inference.tensors import encode_infer, parse_infer
from serving.rollout.deployment import Deployment
from serving.rollout.idempotency import Caller, key_of, predict_idempotently
from serving.rollout.plan import Role
from store.errors import BadInput, TidegateError

router = APIRouter(tags=["open inference protocol"])

EXTENSIONS = ["binary_tensor_data"]
_INFER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["inputs"]},
                "example": {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["A short text."]}]},
            }
        },
    }
}


@router.get("/v2")
def server() -> Response:
    """What this server is."""
    return json_response({"name": "tidegate", "version": installed("tidegate"), "extensions": EXTENSIONS})


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
        return _refused(error)
    asked = [one.model.sha256 for role, one in deployment.by_role.items() if role is not Role.SHADOW]
    return json_response(protocol.metadata(gateway, deployment.name, asked))


@router.get("/v2/models/{name}/ready")
@router.get("/v2/models/{name}/versions/{version}/ready")
def model_ready(name: str, state: Shared, version: str | None = None) -> Response:
    """A model is loaded and its predictions can be recorded."""
    try:
        deployment = state.deployments.named(name)
        gateway = deployment.live if version is None else deployment.version(version)
    except TidegateError as error:
        return _refused(error)
    is_ready = gateway.ready and state.why_not_ready() is None
    return json_response({"name": deployment.name, "ready": is_ready}, 200 if is_ready else 503)


@router.post("/v2/models/{name}/infer", openapi_extra=_INFER)
async def infer(name: str, request: Request, state: Shared) -> Response:
    """Predict; each input is recorded and scored as any other.

    Pictures: BYTES of image files (base64 in JSON), or UINT8 pixels `[n, height, width, channels]`. Texts: BYTES. Tables:
    one tensor per column, or `rows` as BYTES of JSON objects.
    """
    return await _infer(PredictionTarget(name), request, state)


@router.post("/v2/models/{name}/versions/{version}/infer", openapi_extra=_INFER)
async def infer_by_version(name: str, version: str, request: Request, state: Shared) -> Response:
    """Predict by one version, live or canary: its SHA-256, or the first six digits or more of it."""
    return await _infer(PredictionTarget(name, version), request, state)


async def _infer(asked: PredictionTarget, request: Request, state: State) -> Response:
    deployment: Deployment | None = None
    try:
        deployment = state.deployments.named(asked.name)
        return await _answered(asked, request, deployment)
    except TidegateError as error:
        if isinstance(error, BadInput) and deployment is not None:
            error.curl = f"curl {origin_of(request)}/v2/models/{quote(deployment.name)}"
        return _refused(error)
    except CallerLeft:
        return Response(status_code=499)


async def _answered(asked: PredictionTarget, request: Request, deployment: Deployment) -> Response:
    headers = dict(request.scope["headers"])
    body = await read_body(headers, request.receive, deployment.live.settings)
    wanted = parse_infer(headers, body)
    # From here to the queue nothing waits, so that a version that is being replaced still takes what chose it.
    gateway = chosen(deployment, asked, headers)
    inputs, field = protocol.inputs_of(wanted, gateway)
    tags = _tags(headers, wanted.parameters)
    caller = Caller(tags, caller_gone_watch(request.receive), request_timeout(headers), key_of(headers))
    gateway, answers = await predict_idempotently(deployment, gateway, inputs, caller)
    located = locate_errors(answers, field)
    outputs = protocol.outputs_of(located, gateway, wanted.outputs, wanted.binary)
    head: dict[str, Any] = {"model_name": deployment.name, "model_version": gateway.model.sha256}
    if wanted.id is not None:
        head["id"] = wanted.id
    content, told = encode_infer(head, outputs)
    return Response(content, headers=told)


def _tags(headers: dict[bytes, bytes], parameters: dict[str, Any]) -> dict[str, Any] | None:
    sent = headers.get(TAGS_HEADER.encode())
    if sent is not None:
        return parse_tags(sent)
    tags = parameters.get("tags")
    if tags is None:
        return None
    return parse_tags(tags.encode()) if isinstance(tags, str) else check_tags(tags)


def _refused(error: TidegateError) -> Response:
    """A problem as everywhere, with the member that clients of this protocol read."""
    response = problem_details.error_response(error)
    body = {"error": str(error), **orjson.loads(bytes(response.body))}
    headers = {name: value for name, value in response.headers.items() if name == "retry-after"}
    return Response(orjson.dumps(body), response.status_code, headers, "application/json")
