"""One prediction, from any protocol: a call goes in, a result comes out.

Protocols (`serving.http.protocols`) make the call of what they parsed, and encode the result. What lies between them is
here, once: idempotency, the version that was chosen and its shadow, and errors that say which input they are about.
"""

from dataclasses import dataclass

from serving.gateway.gateway import Gateway
from serving.gateway.recorded_prediction import GatewayRequest, Outcome
from serving.rollout.deployment import Deployment
from serving.rollout.idempotency import predict_idempotently
from store.errors import AllRefused, BadInput


@dataclass(frozen=True, slots=True)
class PredictionTarget:
    """Which model a request is for: a served name, None for the default, and perhaps one version of it."""

    name: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class PredictionCall:
    """What a caller wants predicted, and by which version.

    Args:
        deployment: which serves the name.
        gateway: the version of it that was chosen.
        request: inputs, tags, and how long the caller waits.
        field: where an input lies in what was sent, for error messages, such as `rows[{}]`.
        idempotency_key: the caller's, if it may send the same again.
    """

    deployment: Deployment
    gateway: Gateway
    request: GatewayRequest
    field: str
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class PredictionResult:
    """What a call was answered: outcomes in the order of the inputs, at least one of them a prediction.

    `gateway` is the version that answered, which for a repeated call is the one that answered it first.
    """

    deployment: Deployment
    gateway: Gateway
    outcomes: list[Outcome]


async def predict(call: PredictionCall) -> PredictionResult:
    """Predict, record and answer a call. The one way for every protocol.

    Raises:
        BadInput: none of the inputs can be used, or the idempotency key came before with other inputs.
        Overloaded: too many inputs wait already.
        TimedOut: the answer would come too late.
        StoreUnavailable: the predictions could not be recorded, so they are not answered.
    """
    gateway = call.gateway
    if call.idempotency_key is None:
        # Without waiting for anything before the queue: see `Deployment.change`.
        outcomes = await call.deployment.predict(gateway, call.request)
    else:
        gateway, outcomes = await predict_idempotently(call.deployment, gateway, call.request, call.idempotency_key)
    return PredictionResult(call.deployment, gateway, _locate_errors(outcomes, call.field))


def _locate_errors(outcomes: list[Outcome], field: str) -> list[Outcome]:
    """Outcomes whose errors say which input they are about.

    Raises:
        BadInput: there are errors only.
    """
    located = [
        _locate(outcome, field.format(index)) if isinstance(outcome, BadInput) else outcome
        for index, outcome in enumerate(outcomes)
    ]
    refused = [outcome for outcome in located if isinstance(outcome, BadInput)]
    if len(refused) == len(located):
        raise _all_refused(refused)
    return located


def _locate(error: BadInput, input_field: str) -> BadInput:
    """The same error with the field of its input before its own."""
    field = input_field if error.field is None else f"{input_field}.{error.field}"
    return BadInput(str(error), field=field, status=error.status)


def _all_refused(refused: list[BadInput]) -> BadInput:
    """One error for a request of which no input can be used."""
    if len(refused) == 1:
        return refused[0]
    return AllRefused(f"None of the {len(refused):,} inputs can be used. The first: {refused[0]}", refused)
