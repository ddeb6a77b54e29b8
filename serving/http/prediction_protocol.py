"""What a protocol for predictions is: it parses a request's body, and encodes a result or an error."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from fastapi.responses import Response

from serving.gateway.gateway import Gateway
from serving.http.app_state import State
from serving.http.body import Receive
from serving.http.request_headers import Headers
from serving.rollout.deployment import Deployment
from serving.rollout.prediction import PredictionResult, PredictionTarget
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
