"""Where predictions are asked for: one table, by which both the framework and the fast path past it go.

FastAPI's middleware and routing cost more than most predictions do, so `serving.http.application` matches these paths
itself. FastAPI has them too: for the API's documentation, and for methods other than POST.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serving.http.app_state import State, origin_of
from serving.http.body import CallerLeft
from serving.http.prediction_handler import serve_prediction
from serving.http.prediction_protocol import PredictionProtocol, PredictionRequest
from serving.http.protocols.open_inference import OpenInferenceV2
from serving.http.protocols.open_inference_documentation import INFER_DOCUMENTATION
from serving.http.protocols.v1 import V1
from serving.http.protocols.v1_documentation import PREDICT_DOCUMENTATION
from serving.rollout.prediction import PredictionTarget


@dataclass(frozen=True)
class PredictionRoute:
    """A path, whose `{name}` and `{version}` are the target; what is spoken there; and how the API documents it."""

    path: str
    protocol: type[PredictionProtocol]
    name: str
    description: str
    documentation: dict[str, Any]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]*)", self.path))

    def match(self, path: str) -> PredictionTarget | None:
        """The target that a path names; None where it is another path."""
        match = self._pattern.fullmatch(path)
        return None if match is None else PredictionTarget(**match.groupdict())


_BY_VERSION = "Predict by one version, live or canary: its SHA-256, or the first six digits or more of it."

PREDICTION_ROUTES = (
    PredictionRoute(
        "/v1/predict",
        V1,
        "predict",
        "Predict one or many inputs by the default model; each is recorded before it is answered.\n\n"
        "Pictures: multipart/form-data with the field `file`, repeated, or the bytes of one image. Tables: JSON rows. "
        "Texts:\nJSON texts, or one text as text/plain.",
        PREDICT_DOCUMENTATION,
    ),
    PredictionRoute(
        "/v1/models/{name}/predict",
        V1,
        "predict_by_name",
        "Predict by the model that is served under this name.",
        PREDICT_DOCUMENTATION,
    ),
    PredictionRoute(
        "/v1/models/{name}/versions/{version}/predict", V1, "predict_by_version", _BY_VERSION, PREDICT_DOCUMENTATION
    ),
    PredictionRoute(
        "/v2/models/{name}/infer",
        OpenInferenceV2,
        "infer",
        "Predict; each input is recorded and scored as any other.\n\n"
        "Pictures: BYTES of image files (base64 in JSON), or UINT8 pixels `[n, height, width, channels]`. Texts: BYTES. "
        "Tables:\none tensor per column, or `rows` as BYTES of JSON objects.",
        INFER_DOCUMENTATION,
    ),
    PredictionRoute(
        "/v2/models/{name}/versions/{version}/infer",
        OpenInferenceV2,
        "infer_by_version",
        _BY_VERSION,
        INFER_DOCUMENTATION,
    ),
)


def match_prediction(path: str) -> tuple[type[PredictionProtocol], PredictionTarget] | None:
    """Which model a path asks for predictions of, and in which protocol; None where it is no such path."""
    for route in PREDICTION_ROUTES:
        target = route.match(path)
        if target is not None:
            return route.protocol, target
    return None


def add_prediction_routes(router: APIRouter, protocol: type[PredictionProtocol]) -> None:
    """Give a router the routes of one protocol."""
    for route in PREDICTION_ROUTES:
        if route.protocol is protocol:
            router.add_api_route(
                route.path,
                _endpoint(route),
                methods=["POST"],
                name=route.name,
                description=route.description,
                **route.documentation,
            )


def request_of(request: Request, target: PredictionTarget) -> PredictionRequest:
    """A request that came through the framework, as the protocols take it."""
    state: State = request.app.state.tidegate
    return PredictionRequest(dict(request.scope["headers"]), request.receive, origin_of(request), target, state)


async def answer_prediction(request: Request, target: PredictionTarget, protocol: type[PredictionProtocol]) -> Response:
    """Answer a request that came through the framework."""
    try:
        return await serve_prediction(request_of(request, target), protocol)
    except CallerLeft:
        # Nobody reads it; 499 is what nginx logs for a client that closed the connection.
        return Response(status_code=499)


def _endpoint(route: PredictionRoute) -> Callable[..., Awaitable[Response]]:
    """The framework's function for a route. Its parameters are those of the path, which the API documents."""

    async def default_model(request: Request) -> Response:
        return await answer_prediction(request, PredictionTarget(), route.protocol)

    async def by_name(name: str, request: Request) -> Response:
        return await answer_prediction(request, PredictionTarget(name), route.protocol)

    async def by_version(name: str, version: str, request: Request) -> Response:
        return await answer_prediction(request, PredictionTarget(name, version), route.protocol)

    if "{version}" in route.path:
        return by_version
    return by_name if "{name}" in route.path else default_model
