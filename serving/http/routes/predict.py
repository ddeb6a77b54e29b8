"""Predictions."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from serving.gateway.gateway import CallerGone, Gateway, RecordedPrediction
from serving.http import problem_details
from serving.http.body import Receive, read_body
from serving.http.request_parsing import TAGS_HEADER, parse_request
from serving.http.state import NO_REFERENCE, Shared, curl_line, json_response, origin_of
from serving.rollout.deployment import Deployment
from serving.rollout.idempotency import KEY_HEADER as IDEMPOTENCY_HEADER
from serving.rollout.idempotency import Caller, key_of, predict_idempotently
from store.errors import AllRefused, BadInput

router = APIRouter(tags=["predictions"])

# Requests with the same key are answered by the same version while a canary is on trial.
KEY_HEADER = "tidegate-key"
TIMEOUT_HEADER = "tidegate-timeout"
# Whoever sends it is told how long each stage took, in the standard header Server-Timing.
TIMING_HEADER = "tidegate-timing"
_LONGEST_SECONDS = 600.0


class OodAnswer(BaseModel):
    """How far an input lies from the training data."""

    score: float | None = Field(description="fused out-of-domain score; higher = further out; null if not finite")
    p_value: float = Field(description="share of held-out training inputs that are at least as strange")
    flagged: bool = Field(description="whether p_value is at most the reference's alpha")
    nearest: list[int] = Field(
        default_factory=list, description="the training rows most like it, as places in the data of the reference"
    )


class PredictionAnswer(BaseModel):
    """One input's answer."""

    id: str = Field(description="the recorded prediction's id, a UUIDv7")
    prediction: str | float | list[str] | list[float]
    probabilities: dict[str, float] | None = Field(description="by class; null for learners that predict numbers")
    confidence: float | None
    ood: OodAnswer | None = Field(description="null where the model has no reference")
    notes: list[str] = Field(
        default_factory=list, description="what was odd about the input, such as an unknown category"
    )


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str | None = None
    curl: str | None = Field(None, description="a request that works, to paste into a terminal")


class RefusedAnswer(BaseModel):
    """An input of a mixed batch that can't be used."""

    problem: Problem


class PredictAnswer(BaseModel):
    """The answers, in the order of the inputs."""

    predictions: list[PredictionAnswer | RefusedAnswer]
    model: str = Field(description="SHA-256 of the exported learner")
    ood_reason: str | None = Field(None, description="why `ood` is null")


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "tags": {"type": "string", "example": '{"site": "berlin"}'},
                    },
                }
            },
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["rows"],
                    "properties": {
                        "rows": {"type": "array", "items": {"type": "object"}},
                        "tags": {"type": "object", "example": {"site": "berlin"}},
                    },
                }
            },
            "text/plain": {"schema": {"type": "string", "example": "I liked it."}},
        },
    },
    "parameters": [
        {
            "name": TAGS_HEADER,
            "in": "header",
            "required": False,
            "schema": {"type": "string", "example": '{"site": "berlin"}'},
            "description": "slices of this request, as a small JSON object",
        },
        {
            "name": KEY_HEADER,
            "in": "header",
            "required": False,
            "schema": {"type": "string", "example": "customer 42"},
            "description": "requests with the same key are answered by the same version while a canary is on trial",
        },
        {
            "name": IDEMPOTENCY_HEADER,
            "in": "header",
            "required": False,
            "schema": {"type": "string", "example": "5f0c1a2e"},
            "description": "send the same request again with the same key: it gets the same ids and is recorded once",
        },
        {
            "name": TIMEOUT_HEADER,
            "in": "header",
            "required": False,
            "schema": {"type": "number", "example": 2.5},
            "description": "seconds the caller waits; what has not begun by then is dropped and not recorded",
        },
    ],
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words}
    for status, words in (
        (400, "not readable"),
        (408, "the body came too slowly"),
        (413, "too large, or too many"),
        (415, "of a kind this learner does not take"),
        (422, "can't be used; says which field and what to send instead"),
        (503, "busy, or the prediction could not be recorded; see Retry-After"),
    )
}


@dataclass(frozen=True)
class PredictionTarget:
    """Which model a request is for: a served name, None for the default, and perhaps one version of it."""

    name: str | None
    version: str | None = None


_DEFAULT = PredictionTarget(None)


def asked_for(path: str) -> PredictionTarget | None:
    """What a path asks for a prediction of; None if it is no such path."""
    if path == "/v1/predict":
        return _DEFAULT
    parts = path.split("/")
    if parts[:3] != ["", "v1", "models"] or parts[-1] != "predict":
        return None
    if len(parts) == 5:
        return PredictionTarget(unquote(parts[3]))
    if len(parts) == 7 and parts[4] == "versions":
        return PredictionTarget(unquote(parts[3]), parts[5])
    return None


@router.post("/v1/predict", response_model=PredictAnswer, responses=_PROBLEMS, openapi_extra=_BODY)
async def predict(request: Request, state: Shared) -> Response:
    """Predict one or many inputs by the default model; each is recorded before it is answered.

    Pictures: multipart/form-data with the field `file`, repeated, or the bytes of one image. Tables: JSON rows. Texts:
    JSON texts, or one text as text/plain.
    """
    return await _answer_route(request, state, _DEFAULT)


@router.post("/v1/models/{name}/predict", response_model=PredictAnswer, responses=_PROBLEMS, openapi_extra=_BODY)
async def predict_by_name(name: str, request: Request, state: Shared) -> Response:
    """Predict by the model that is served under this name."""
    return await _answer_route(request, state, PredictionTarget(name))


@router.post(
    "/v1/models/{name}/versions/{version}/predict",
    response_model=PredictAnswer,
    responses=_PROBLEMS,
    openapi_extra=_BODY,
)
async def predict_by_version(name: str, version: str, request: Request, state: Shared) -> Response:
    """Predict by one version, live or canary: its SHA-256, or the first six digits or more of it."""
    return await _answer_route(request, state, PredictionTarget(name, version))


async def _answer_route(request: Request, state: Shared, asked: PredictionTarget) -> Response:
    headers = dict(request.scope["headers"])
    deployment = state.deployments.named(asked.name)
    return await answer(headers, request.receive, deployment, asked, origin_of(request))


async def answer(
    headers: dict[bytes, bytes], receive: Receive, deployment: Deployment, asked: PredictionTarget, where: str
) -> Response:
    """Predict what a request brings. Both FastAPI's routes and the way past them (`serving.http.application`) end here.

    Args:
        headers: by lower-case name.
        receive: gives the body.
        deployment: which is asked.
        asked: by which name and version.
        where: the origin that the caller used, for an example that works there.

    Raises:
        TidegateError: see `Gateway.predict`.
    """
    try:
        return await _answered(headers, receive, deployment, asked)
    except BadInput as error:
        error.curl = curl_line(deployment.live, where, asked.name)
        raise


def chosen(deployment: Deployment, asked: PredictionTarget, headers: dict[bytes, bytes]) -> Gateway:
    """The version that answers a request.

    Raises:
        NotFound: one was asked for that is not served.
    """
    if asked.version is not None:
        return deployment.version(asked.version)
    key = headers.get(KEY_HEADER.encode())
    return deployment.choose(None if key is None else key.decode("latin-1"))


def caller_gone_watch(receive: Receive) -> CallerGone:
    """Waits until the caller has gone."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            continue

    return gone


async def _answered(
    headers: dict[bytes, bytes], receive: Receive, deployment: Deployment, asked: PredictionTarget
) -> Response:
    began = time.perf_counter()
    body = await read_body(headers, receive, deployment.live.settings)
    # From here to the queue nothing waits, so that a version that is being replaced still takes what chose it.
    gateway = chosen(deployment, asked, headers)
    wanted = parse_request(headers, body, gateway.engine.adapter, gateway.settings)
    parsed = time.perf_counter()
    caller = Caller(wanted.tags, caller_gone_watch(receive), request_timeout(headers), key_of(headers))
    gateway, answers = await predict_idempotently(deployment, gateway, wanted.inputs, caller)
    located = locate_errors(answers, wanted.field)
    content: dict[str, Any] = {"predictions": [_answer(gateway, one) for one in located], "model": gateway.model.sha256}
    if gateway.reference is None:
        content["ood_reason"] = NO_REFERENCE
    response = json_response(content)
    first = next(one for one in answers if isinstance(one, RecordedPrediction))
    if TIMING_HEADER.encode() in headers and first.stages:
        whole, inside = time.perf_counter() - began, sum(first.stages.values())
        stages = {"parse": parsed - began, **first.stages, "reply": whole - (parsed - began) - inside}
        response.headers["server-timing"] = ", ".join(f"{name};dur={1e3 * s:.3f}" for name, s in stages.items())
    return response


def request_timeout(headers: dict[bytes, bytes]) -> float | None:
    """How many seconds the caller waits, if it says so.

    Raises:
        BadInput: it says something else.
    """
    sent = headers.get(TIMEOUT_HEADER.encode())
    if sent is None:
        return None
    try:
        seconds = float(sent)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise BadInput(
            f"The header {TIMEOUT_HEADER} takes seconds above 0 and at most {_LONGEST_SECONDS:g}.", field=TIMEOUT_HEADER
        )
    return seconds


def _answer(gateway: Gateway, answer: RecordedPrediction | BadInput) -> dict[str, Any]:
    if isinstance(answer, BadInput):
        return {"problem": problem_details.problem(answer)}
    probabilities = answer.probabilities
    body: dict[str, Any] = {
        "id": answer.id,
        "prediction": answer.prediction,
        "probabilities": None
        if probabilities is None
        else dict(zip(gateway.engine.task.classes, probabilities, strict=True)),
        "confidence": answer.confidence,
        "ood": answer.ood,
    }
    if answer.notes:
        body["notes"] = answer.notes
    return body


def locate_errors(answers: list[RecordedPrediction | BadInput], field: str) -> list[RecordedPrediction | BadInput]:
    """Answers whose errors say which input they are of; `field` is its path, such as `rows[{}]`.

    Raises:
        BadInput: none of the inputs can be used.
    """
    located = [
        _located(one, field.format(place)) if isinstance(one, BadInput) else one for place, one in enumerate(answers)
    ]
    refused = [one for one in located if isinstance(one, BadInput)]
    if len(refused) == len(located):
        raise _all_refused(refused)
    return located


def _located(error: BadInput, place: str) -> BadInput:
    """The same error with the place of its input before its field."""
    return BadInput(str(error), field=place if error.field is None else f"{place}.{error.field}", status=error.status)


def _all_refused(refused: list[BadInput]) -> BadInput:
    """One error for a request of which no input can be used."""
    if len(refused) == 1:
        return refused[0]
    return AllRefused(f"None of the {len(refused):,} inputs can be used. The first: {refused[0]}", refused)
