"""The page to try a model on."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from serving.http.prediction_routes import answer_prediction, request_of
from serving.http.protocols.try_page import TryPage
from serving.rollout.prediction import PredictionTarget

router = APIRouter(include_in_schema=False)

ModelName = Annotated[str | None, Query(alias="model")]


@router.get("/try")
def form(request: Request, model: ModelName = None) -> Response:
    return TryPage(request_of(request, PredictionTarget(model))).form()


@router.post("/try")
async def answer(request: Request, model: ModelName = None) -> Response:
    return await answer_prediction(request, PredictionTarget(model), TryPage)
