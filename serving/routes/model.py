"""What is served."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.routes.predict import NO_REFERENCE
from serving.routes.state import Shared, json_response

router = APIRouter(tags=["model"])


@router.get("/v1/model")
def model(state: Shared) -> Response:
    """The served model: hash, task, classes, and the reference it is compared with."""
    gateway = state.gateway
    reference = gateway.reference
    body: dict[str, Any] = {
        "sha256": gateway.model.sha256,
        "name": gateway.model.name,
        "application": gateway.model.application,
        "task": gateway.model.task,
        "classes": gateway.model.classes,
        "embedding_dimension": gateway.engine.dimension,
        "reference": None
        if reference is None
        else {
            "sha256": gateway.model.reference_sha256,
            "training_rows": reference.training_rows,
            "calibration_rows": len(reference.calibration_scores),
            "alpha": reference.alpha,
            "threshold": reference.threshold if reference.flagged_law.rank else None,
            "scorers": list(reference.scorers),
            "accuracy": None if reference.origin is None else reference.origin.accuracy,
            "warnings": list(reference.warnings),
        },
    }
    if reference is None:
        body["reference_reason"] = NO_REFERENCE
    return json_response(body)
