"""The Open Inference Protocol V2: tensors in, tensors out."""

from typing import Any, ClassVar
from urllib.parse import quote

import orjson
from fastapi.responses import Response

from serving.gateway.gateway import Gateway
from serving.http import problem_details
from serving.http.prediction_protocol import ParsedInputs, PredictionProtocol, PredictionRequest
from serving.http.request_headers import TAGS_HEADER, Headers
from serving.http.request_tags import check_tags, parse_tags
from serving.open_inference.inputs import parse_inputs
from serving.open_inference.outputs import select_outputs
from serving.open_inference.tensors import InferRequest, encode_infer, parse_infer
from serving.rollout.deployment import Deployment
from serving.rollout.prediction import PredictionResult
from store.errors import BadInput, TidegateError


class OpenInferenceV2(PredictionProtocol):
    """One request of `/v2/models/…/infer`."""

    takes_headers: ClassVar[bool] = True

    def __init__(self, request: PredictionRequest) -> None:
        self._request = request
        self._infer: InferRequest | None = None

    def parse(self, body: bytes, gateway: Gateway) -> ParsedInputs:
        self._infer = parse_infer(self._request.headers, body)
        inputs, field = parse_inputs(self._infer, gateway)
        return ParsedInputs(inputs, _parse_tags(self._request.headers, self._infer.parameters), field)

    def encode(self, result: PredictionResult) -> Response:
        assert self._infer is not None, "a result is of a request that was parsed"
        outputs = select_outputs(result.outcomes, result.gateway, self._infer.outputs, self._infer.binary)
        head: dict[str, Any] = {
            "model_name": result.deployment.name,
            "model_version": result.gateway.model.sha256,
        }
        if self._infer.id is not None:
            head["id"] = self._infer.id
        content, headers = encode_infer(head, outputs)
        return Response(content, headers=headers)

    def refuse(self, error: TidegateError, deployment: Deployment | None) -> Response:
        if isinstance(error, BadInput) and deployment is not None:
            error.curl = f"curl {self._request.origin}/v2/models/{quote(deployment.name)}"
        return error_response(error)


def error_response(error: TidegateError) -> Response:
    """The problem that every protocol answers, with the member `error` that clients of this one read."""
    response = problem_details.error_response(error)
    content = {"error": str(error), **orjson.loads(bytes(response.body))}
    headers = {name: value for name, value in response.headers.items() if name == "retry-after"}
    return Response(orjson.dumps(content), response.status_code, headers, "application/json")


def _parse_tags(headers: Headers, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """From the header, or else from the request's parameters."""
    from_header = headers.get(TAGS_HEADER.encode())
    if from_header is not None:
        return parse_tags(from_header)
    tags = parameters.get("tags")
    if tags is None:
        return None
    return parse_tags(tags.encode()) if isinstance(tags, str) else check_tags(tags)
