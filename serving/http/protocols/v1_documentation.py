"""How the API's documentation describes `POST /v1/predict`. Nothing here runs while a prediction is answered."""

from typing import Any

from pydantic import BaseModel, Field

from serving.http.request_headers import IDEMPOTENCY_HEADER, KEY_HEADER, TAGS_HEADER, TIMEOUT_HEADER
from serving.learner.outputs import Prediction


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
    prediction: Prediction
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


_REQUEST: dict[str, Any] = {
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

# What FastAPI's `add_api_route` takes.
PREDICT_DOCUMENTATION: dict[str, Any] = {
    "response_model": PredictAnswer,
    "responses": _PROBLEMS,
    "openapi_extra": _REQUEST,
}
