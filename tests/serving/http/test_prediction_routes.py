"""One table of the paths where predictions are asked for: the fast path and the framework read the same."""

import pytest
from starlette.testclient import TestClient

from serving.http.prediction_routes import PREDICTION_ROUTES, PredictionRoute, match_prediction
from serving.http.protocols.open_inference import OpenInferenceV2
from serving.http.protocols.v1 import V1
from serving.rollout.prediction import PredictionTarget


@pytest.mark.parametrize(
    ("path", "protocol", "target"),
    [
        ("/v1/predict", V1, PredictionTarget()),
        ("/v1/models/digits/predict", V1, PredictionTarget("digits")),
        ("/v1/models/a b%20c/predict", V1, PredictionTarget("a b%20c")),
        ("/v1/models/digits/versions/0af3c1/predict", V1, PredictionTarget("digits", "0af3c1")),
        ("/v2/models/digits/infer", OpenInferenceV2, PredictionTarget("digits")),
        ("/v2/models/digits/versions/0af3c1/infer", OpenInferenceV2, PredictionTarget("digits", "0af3c1")),
    ],
)
def test_a_path_names_its_protocol_and_its_model(path: str, protocol: type, target: PredictionTarget) -> None:
    assert match_prediction(path) == (protocol, target)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/predict", "/v1/predict/", "/x/v1/predict", "/v1/predict/more", "/v1/models/a/b/predict"),
        *("/v1/models/a/versions/predict/", "/v1/models/a/versions/b/c/predict", "/v2/infer", "/v2/models/a/ready"),
    ],
)
def test_other_paths_are_left_to_the_framework(path: str) -> None:
    assert match_prediction(path) is None


@pytest.mark.parametrize("route", PREDICTION_ROUTES, ids=lambda route: route.path)
def test_every_path_of_the_table_is_a_documented_route_that_takes_post_alone(
    digits_client: TestClient, route: PredictionRoute
) -> None:
    documented = digits_client.get("/openapi.json").json()["paths"][route.path]
    assert set(documented) == {"post"}
    assert documented["post"]["description"] == route.description
    (model,) = digits_client.get("/v1/models").json()["models"]
    path = route.path.format(name=model["name"], version=model["versions"][0]["sha256"])
    assert digits_client.get(path).status_code == 405


@pytest.mark.parametrize(
    "route", [route for route in PREDICTION_ROUTES if "{name}" in route.path], ids=lambda route: route.path
)
def test_a_name_that_is_not_served_is_answered_in_the_words_of_the_protocol(
    digits_client: TestClient, route: PredictionRoute
) -> None:
    answer = digits_client.post(route.path.format(name="nothing", version="0" * 64), content=b"x")
    assert answer.status_code == 404
    assert "No model is served as 'nothing'" in answer.json()["detail"]
    assert ("error" in answer.json()) == (route.protocol is OpenInferenceV2)
