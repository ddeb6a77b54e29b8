"""The page to try the model on. It works without JavaScript: a form, and a page with the answer."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from reports import pages
from reports.pictures import thumbnail_uri
from serving.http import problem_details
from serving.http.body import read_body
from serving.http.request_parsing import form_fields, parse_request
from serving.http.state import Shared, State, curl_line, origin_of
from serving.learner.adapters.text import raw_text
from serving.rollout.deployment import Deployment
from store.errors import BadInput, Overloaded, StoreUnavailable, TidegateError
from store.recording.batches import RawInput

router = APIRouter(include_in_schema=False)

TAGS = {"source": "try-it"}
_PICTURE_SIDE = 320


ModelName = Annotated[str | None, Query(alias="model")]


@router.get("/try")
def form(request: Request, state: Shared, model: ModelName = None) -> Response:
    deployment = state.deployments.named(model)
    return _page(request, state, deployment, _example_row(deployment))


@router.post("/try")
async def answer(request: Request, state: Shared, model: ModelName = None) -> Response:
    deployment = state.deployments.named(model)
    gateway = deployment.live
    row: dict[str, Any] | None = None
    try:
        headers = dict(request.scope["headers"])
        body = await read_body(headers, request.receive, gateway.settings)
        if gateway.engine.adapter.takes == "rows":
            row = _typed(form_fields(headers, body), _example_row(deployment) or {})
            inputs = [RawInput("application/json", orjson.dumps(row))]
        elif gateway.engine.adapter.takes == "texts":
            row = {"text": form_fields(headers, body).get("text", "")}
            inputs = [raw_text(row["text"])]
        else:
            inputs = parse_request(headers, body, gateway.engine.adapter, gateway.settings).inputs[:1]
        (result,) = await deployment.predict(gateway, inputs, TAGS)
    except (BadInput, Overloaded, StoreUnavailable) as error:
        return _refused(request, state, deployment, row, error)
    if isinstance(result, BadInput):
        return _refused(request, state, deployment, row, result)
    picture = None if row is not None else thumbnail_uri(inputs[0].content, _PICTURE_SIDE)
    return _page(request, state, deployment, row, answer=result, probabilities=result.probabilities, picture=picture)


def _page(
    request: Request,
    state: State,
    deployment: Deployment,
    fields: dict[str, Any] | None,
    status: int = 200,
    **values: Any,
) -> Response:
    name = None if deployment is state.deployments.default else deployment.name
    curl = curl_line(deployment.live, origin_of(request), name)
    names = [one.name for one in state.deployments.all]
    form = pages.TryForm(deployment.name, names, curl, fields)
    html = pages.try_it(deployment.live.model, form, pages.TryOutcome(**values))
    return HTMLResponse(html, status_code=status)


def _refused(
    request: Request, state: State, deployment: Deployment, row: dict[str, Any] | None, error: TidegateError
) -> Response:
    body = problem_details.problem(error)
    fields = row if row is not None else _example_row(deployment)
    return _page(request, state, deployment, fields, body["status"], problem=body)


def _example_row(deployment: Deployment) -> dict[str, Any] | None:
    adapter = deployment.live.engine.adapter
    example = adapter.examples()[0]
    return {"text": example.content.decode()} if adapter.takes == "texts" else adapter.columns(example) or None


def _typed(sent: dict[str, str], example: dict[str, Any]) -> dict[str, Any]:
    """A form sends text only; columns that hold numbers get numbers, and empty fields are missing values."""
    row: dict[str, Any] = {}
    for name, text in sent.items():
        number = isinstance(example.get(name), int | float) and not isinstance(example.get(name), bool)
        try:
            row[name] = None if text == "" else float(text) if number else text
        except ValueError:
            row[name] = text
    return row
