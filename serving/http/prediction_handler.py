"""Serves a prediction over HTTP: read, choose a version, parse, predict, encode. The one way for every protocol."""

from fastapi.responses import Response

from serving.gateway.recorded_prediction import CallerGone, GatewayRequest
from serving.http.body import Receive, read_body
from serving.http.prediction_protocol import PredictionProtocol, PredictionRequest
from serving.http.request_headers import parse_idempotency_key, parse_timeout_seconds, routing_key
from serving.rollout.deployment import Deployment
from serving.rollout.prediction import PredictionCall, predict
from store.errors import TidegateError


async def serve_prediction(request: PredictionRequest, protocol_type: type[PredictionProtocol]) -> Response:
    """Answer a request for predictions.

    Raises:
        CallerLeft: before the body was whole.
    """
    protocol = protocol_type(request)
    deployment: Deployment | None = None
    try:
        deployment = request.state.deployments.named(request.target.name)
        body = await read_body(request.headers, request.receive, deployment.live.settings)
        # From here to the queue nothing waits, so that a version that is being replaced still takes what chose it.
        call = _parse_call(request, protocol, deployment, body)
        return protocol.encode(await predict(call))
    except TidegateError as error:
        return protocol.refuse(error, deployment)


def _parse_call(
    request: PredictionRequest, protocol: PredictionProtocol, deployment: Deployment, body: bytes
) -> PredictionCall:
    if not protocol.takes_headers:
        parsed = protocol.parse(body, deployment.live)
        inputs = GatewayRequest(parsed.inputs, parsed.tags)
        return PredictionCall(deployment, deployment.live, inputs, parsed.field)
    headers, target = request.headers, request.target
    gateway = deployment.choose(routing_key(headers)) if target.version is None else deployment.version(target.version)
    parsed = protocol.parse(body, gateway)
    caller_gone = _watch_caller(request.receive)
    inputs = GatewayRequest(parsed.inputs, parsed.tags, caller_gone, parse_timeout_seconds(headers))
    return PredictionCall(deployment, gateway, inputs, parsed.field, parse_idempotency_key(headers))


def _watch_caller(receive: Receive) -> CallerGone:
    async def caller_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            continue

    return caller_gone
