"""Predictions of a model that is served elsewhere."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serving.http.app_state import Shared, json_response
from serving.http.body import read_body
from serving.http.ingest_parsing import ARROW, CLOUD_EVENT, parse_ingest

router = APIRouter(tags=["ingest"])

_EXAMPLE = {
    "model": "fraud",
    "predictions": [
        {
            "embedding": [0.1, 1.5, -0.3],
            "logits": [2.0, -1.0],
            "id": "order-1042",
            "at": "2026-11-24T08:00:00+00:00",
            "tags": {"site": "berlin"},
        }
    ],
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["predictions"]},
                "example": _EXAMPLE,
            },
            ARROW: {"schema": {"type": "string", "format": "binary"}},
            CLOUD_EVENT: {"schema": {"type": "object", "required": ["type", "data"]}},
        },
    }
}


@router.post("/v1/ingest", openapi_extra=_BODY)
async def ingest(request: Request, state: Shared, model: str | None = None) -> Response:
    """Record predictions that another service made, scored against the model's reference (`tidegate register`).

    Each keeps its time and gets an id made from its own, so that the same one sent again is recorded once; windows that
    were judged without it are judged again.
    """
    headers = dict(request.scope["headers"])
    body = await read_body(headers, request.receive, state.serving)
    call = await asyncio.to_thread(parse_ingest, headers, model, body)
    ids = [] if call.batch is None else await asyncio.to_thread(state.ingest.record, call.model, call.batch)
    return json_response({"model": call.model, "recorded": len(ids), "ids": ids}, 200 if ids else 202)
