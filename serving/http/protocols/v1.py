"""Tidegate's own protocol: `POST /v1/predict`. JSON answers, errors as problem details."""

import time
from typing import Any, ClassVar

from fastapi.responses import Response

from serving.gateway.gateway import Gateway
from serving.gateway.recorded_prediction import Outcome, RecordedPrediction
from serving.http import problem_details
from serving.http.app_state import NO_REFERENCE, json_response
from serving.http.curl_lines import curl_line
from serving.http.prediction_protocol import ParsedInputs, PredictionProtocol, PredictionRequest
from serving.http.request_headers import TIMING_HEADER
from serving.http.request_parsing import parse_request
from serving.rollout.deployment import Deployment
from serving.rollout.prediction import PredictionResult
from store.errors import BadInput, TidegateError


class V1(PredictionProtocol):
    """One request of `/v1/predict`."""

    takes_headers: ClassVar[bool] = True

    def __init__(self, request: PredictionRequest) -> None:
        self._request = request
        # Of `time.perf_counter`, for callers who ask how long each stage took.
        self._began_at = time.perf_counter()
        self._parsed_at = 0.0

    def parse(self, body: bytes, gateway: Gateway) -> ParsedInputs:
        parsed = parse_request(self._request.headers, body, gateway.engine.adapter, gateway.settings)
        self._parsed_at = time.perf_counter()
        return parsed

    def encode(self, result: PredictionResult) -> Response:
        gateway = result.gateway
        content: dict[str, Any] = {
            "predictions": [_encode_outcome(gateway, outcome) for outcome in result.outcomes],
            "model": gateway.model.sha256,
        }
        if gateway.reference is None:
            content["ood_reason"] = NO_REFERENCE
        response = json_response(content)
        if TIMING_HEADER.encode() in self._request.headers:
            self._add_server_timing(response, result.outcomes)
        return response

    def refuse(self, error: TidegateError, deployment: Deployment | None) -> Response:
        if isinstance(error, BadInput) and deployment is not None:
            error.curl = curl_line(deployment.live, self._request.origin, self._request.target.name)
        return problem_details.error_response(error)

    def _add_server_timing(self, response: Response, outcomes: list[Outcome]) -> None:
        first = next(outcome for outcome in outcomes if isinstance(outcome, RecordedPrediction))
        if not first.stages:
            # It was recorded earlier, and is answered from the record.
            return
        total, parse = time.perf_counter() - self._began_at, self._parsed_at - self._began_at
        seconds = {"parse": parse, **first.stages, "reply": total - parse - sum(first.stages.values())}
        response.headers["server-timing"] = ", ".join(
            f"{stage};dur={1e3 * duration:.3f}" for stage, duration in seconds.items()
        )


def _encode_outcome(gateway: Gateway, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, BadInput):
        return {"problem": problem_details.problem(outcome)}
    probabilities = outcome.probabilities
    content: dict[str, Any] = {
        "id": outcome.id,
        "prediction": outcome.prediction,
        "probabilities": None
        if probabilities is None
        else dict(zip(gateway.engine.task.classes, probabilities, strict=True)),
        "confidence": outcome.confidence,
        "ood": outcome.ood,
    }
    if outcome.notes:
        content["notes"] = outcome.notes
    return content
