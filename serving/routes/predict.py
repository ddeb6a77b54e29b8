"""Predictions."""

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from serving import problems
from serving.body import Receive, read_body
from serving.gateway import Answered, Gateway
from serving.requests import TAGS_HEADER, parse_request
from serving.routes.state import Shared, json_response
from store.errors import BadInput

router = APIRouter(tags=["predictions"])

TIMEOUT_HEADER = "tidegate-timeout"
# Whoever sends it is told how long each stage took, in the standard header Server-Timing.
TIMING_HEADER = "tidegate-timing"
_LONGEST_SECONDS = 600.0
NO_REFERENCE = (
    "This model has no reference, so nothing is scored. "
    "Make one with `tidegate profile export.pkl --data TRAINING_DATA`."
)


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


@router.post("/v1/predict", response_model=PredictAnswer, responses=_PROBLEMS, openapi_extra=_BODY)
async def predict(request: Request, state: Shared) -> Response:
    """Predict one or many inputs; each is recorded before it is answered.

    Pictures: multipart/form-data with the field `file`, repeated, or the bytes of one image. Tables: JSON rows. Texts:
    JSON texts, or one text as text/plain.
    """
    return await answer(dict(request.scope["headers"]), request.receive, state.gateway)


async def answer(headers: dict[bytes, bytes], receive: Receive, gateway: Gateway) -> Response:
    """Predict what a request brings. Both FastAPI's route and the way past it (`serving.application`) end here.

    Raises:
        TidegateError: see `Gateway.predict`.
    """
    began = time.perf_counter()
    body = await read_body(headers, receive, gateway.settings)
    asked = parse_request(headers, body, gateway.engine.adapter, gateway.settings)
    parsed = time.perf_counter()

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            continue

    answers = await gateway.predict(asked.inputs, asked.tags, gone=gone, seconds=_patience(headers))
    located = [
        _located(one, asked.field.format(place)) if isinstance(one, BadInput) else one
        for place, one in enumerate(answers)
    ]
    refused = [one for one in located if isinstance(one, BadInput)]
    if len(refused) == len(located):
        return _all_refused(refused)
    content: dict[str, Any] = {"predictions": [_answer(gateway, one) for one in located], "model": gateway.model.sha256}
    if gateway.reference is None:
        content["ood_reason"] = NO_REFERENCE
    response = json_response(content)
    if TIMING_HEADER.encode() in headers:
        first = next(one for one in answers if isinstance(one, Answered))
        whole, inside = time.perf_counter() - began, sum(first.stages.values())
        stages = {"parse": parsed - began, **first.stages, "reply": whole - (parsed - began) - inside}
        response.headers["server-timing"] = ", ".join(f"{name};dur={1e3 * s:.3f}" for name, s in stages.items())
    return response


def _patience(headers: dict[bytes, bytes]) -> float | None:
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


def _answer(gateway: Gateway, answer: Answered | BadInput) -> dict[str, Any]:
    if isinstance(answer, BadInput):
        return {"problem": problems.problem(answer)}
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


def _located(error: BadInput, place: str) -> BadInput:
    """The same error with the place of its input before its field."""
    return BadInput(str(error), field=place if error.field is None else f"{place}.{error.field}", status=error.status)


def _all_refused(refused: list[BadInput]) -> Response:
    if len(refused) == 1:
        return problems.answer(refused[0])
    detail = f"None of the {len(refused):,} inputs can be used. The first: {refused[0]}"
    errors = [problems.problem(error) for error in refused]
    body = problems.details(BadInput.title, 422, detail, errors=errors)
    return problems.response(body, {})
