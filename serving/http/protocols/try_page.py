"""The page to try a model on, as a protocol: a form in, a page out. It works without JavaScript."""

from typing import Any, ClassVar

import orjson
from fastapi.responses import HTMLResponse, Response

from reports import pages
from reports.pages import TryForm, TryOutcome
from reports.pictures import thumbnail_uri
from serving.gateway.gateway import Gateway
from serving.gateway.recorded_prediction import RecordedPrediction
from serving.http import problem_details
from serving.http.curl_lines import curl_line
from serving.http.prediction_protocol import ParsedInputs, PredictionProtocol, PredictionRequest
from serving.http.request_parsing import form_fields, parse_request
from serving.learner.adapters import Adapter
from serving.learner.adapters.text import raw_text
from serving.rollout.deployment import Deployment
from serving.rollout.prediction import PredictionResult
from store.errors import BadInput, Overloaded, StoreUnavailable, TidegateError
from store.recording.prediction_batch import RawInput

TAGS = {"source": "try-it"}
_PICTURE_SIDE = 320


class TryPage(PredictionProtocol):
    """One request of `/try`. `_fields` are what the form held, None for a picture or before it was parsed."""

    takes_headers: ClassVar[bool] = False

    def __init__(self, request: PredictionRequest) -> None:
        self._request = request
        self._fields: dict[str, Any] | None = None
        self._input: RawInput | None = None

    def form(self) -> Response:
        """The page before anything was sent.

        Raises:
            NotFound: there is no such model.
        """
        deployment = self._request.state.deployments.named(self._request.target.name)
        return self._page(deployment, _example_fields(deployment.live.engine.adapter))

    def parse(self, body: bytes, gateway: Gateway) -> ParsedInputs:
        headers, adapter = self._request.headers, gateway.engine.adapter
        if adapter.takes == "rows":
            self._fields = _typed_row(form_fields(headers, body), _example_fields(adapter) or {})
            self._input = RawInput("application/json", orjson.dumps(self._fields))
        elif adapter.takes == "texts":
            text = form_fields(headers, body).get("text", "")
            self._fields = {"text": text}
            self._input = raw_text(text)
        else:
            self._input = parse_request(headers, body, adapter, gateway.settings).inputs[0]
        return ParsedInputs([self._input], TAGS, "body")

    def encode(self, result: PredictionResult) -> Response:
        (prediction,) = result.outcomes
        assert isinstance(prediction, RecordedPrediction)
        assert self._input is not None
        picture = None if self._fields is not None else thumbnail_uri(self._input.content, _PICTURE_SIDE)
        outcome = TryOutcome(answer=prediction, probabilities=prediction.probabilities, picture=picture)
        return self._page(result.deployment, self._fields, outcome)

    def refuse(self, error: TidegateError, deployment: Deployment | None) -> Response:
        if deployment is None or not isinstance(error, BadInput | Overloaded | StoreUnavailable):
            # Not about what was sent: answered as on every page.
            raise error
        problem = problem_details.problem(error)
        fields = _example_fields(deployment.live.engine.adapter) if self._fields is None else self._fields
        return self._page(deployment, fields, TryOutcome(problem=problem), problem["status"])

    def _page(
        self,
        deployment: Deployment,
        fields: dict[str, Any] | None,
        outcome: TryOutcome | None = None,
        status: int = 200,
    ) -> Response:
        deployments = self._request.state.deployments
        form = TryForm(
            name=deployment.name,
            names=[served.name for served in deployments.all],
            curl=curl_line(
                deployment.live, self._request.origin, None if deployment is deployments.default else deployment.name
            ),
            fields=fields,
        )
        return HTMLResponse(pages.try_it(deployment.live.model, form, outcome or TryOutcome()), status_code=status)


def _example_fields(adapter: Adapter) -> dict[str, Any] | None:
    """The fields of the form with values that the learner accepts; None for pictures."""
    example = adapter.examples()[0]
    return {"text": example.content.decode()} if adapter.takes == "texts" else adapter.columns(example) or None


def _typed_row(sent: dict[str, str], example: dict[str, Any]) -> dict[str, Any]:
    """A form sends text only; columns that hold numbers get numbers, and empty fields are missing values."""
    return {name: None if text == "" else _typed_value(text, example.get(name)) for name, text in sent.items()}


def _typed_value(text: str, example: Any) -> Any:
    if isinstance(example, int | float) and not isinstance(example, bool):
        try:
            return float(text)
        except ValueError:
            return text
    return text
