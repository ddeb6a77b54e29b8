"""Serves a prediction over HTTP: read, choose a version, parse, predict, encode. The one way for every protocol."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from fastapi.responses import Response

from serving.gateway.gateway import Gateway
from serving.gateway.recorded_prediction import CallerGone, GatewayRequest
from serving.http.app_state import State
from serving.http.body import Receive, read_body
from serving.http.request_headers import Headers, parse_idempotency_key, parse_timeout_seconds, routing_key
from serving.rollout.deployment import Deployment
from serving.rollout.prediction import PredictionCall, PredictionResult, PredictionTarget, predict
from store.errors import TidegateError
from store.recording.prediction_batch import RawInput


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """A request for predictions whose body is not read yet.

    Args:
        headers: by lower-case name.
        receive: gives the body.
        origin: where the caller reached this gateway, for an example that works there.
        target: which model it is for.
        state: what is served.
    """

    headers: Headers
    receive: Receive
    origin: str
    target: PredictionTarget
    state: State


@dataclass(frozen=True, slots=True)
class ParsedInputs:
    """What a body holds. `field` says where an input lies in it, for error messages, such as `rows[{}]`."""

    inputs: list[RawInput]
    tags: dict[str, Any] | None
    field: str


class PredictionProtocol(Protocol):
    """The words in which a caller asks and is answered. One is made for each request.

    `takes_headers` says whether the caller may choose by headers: which version answers (`tidegate-key`), how long it
    waits, and its idempotency key. Where it may not, the live version answers.
    """

    takes_headers: ClassVar[bool]

    def __init__(self, request: PredictionRequest) -> None: ...

    def parse(self, body: bytes, gateway: Gateway) -> ParsedInputs:
        """Read the inputs from a body.

        Raises:
            BadInput: it is not what the learner takes.
        """
        ...

    def encode(self, result: PredictionResult) -> Response:
        """The response that holds a result.

        Raises:
            BadInput: the caller asked for something in it that there is not.
        """
        ...

    def refuse(self, error: TidegateError, deployment: Deployment | None) -> Response:
        """The response for an error. `deployment` is None where the error is that there is no such model."""
        ...


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
