"""What is served: names, and the versions behind each."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from reports import pages
from serving.gateway.gateway import Gateway
from serving.http.negotiation import wants_html
from serving.http.state import NO_REFERENCE, Shared, State, curl_line, ingest_curl_line, json_response, origin_of
from serving.rollout.deployment import Deployment
from serving.rollout.plan import Role
from store.repositories.models import ModelRecord

router = APIRouter(tags=["model"])


@router.get("/v1/model")
def model(state: Shared) -> Response:
    """The default model: hash, task, classes, and the reference it is compared with."""
    return json_response(_described(state.deployments.default.live))


@router.get("/v1/models")
def models(state: Shared) -> Response:
    """Every served name, with the versions behind it."""
    return json_response({"models": [_deployment(state, deployment) for deployment in state.deployments.all]})


@router.get("/v1/models/{name}")
def model_by_name(name: str, state: Shared) -> Response:
    """One served name, with the versions behind it: how a shadow agrees, how each stands to its training data."""
    return json_response(_deployment(state, state.deployments.named(name)))


@router.get("/models/{name}", include_in_schema=False)
def page(name: str, request: Request, state: Shared) -> Response:
    known = next((one for one in state.elsewhere() if one.name == name), None)
    if known is not None and wants_html(request):
        return HTMLResponse(_overview_elsewhere(request, state, known))
    deployment = state.deployments.named(name)
    if not wants_html(request):
        return json_response(_deployment(state, deployment))
    return HTMLResponse(overview(request, state, deployment))


def overview(request: Request, state: State, deployment: Deployment) -> str:
    """The page of one served name."""
    gateway = deployment.live
    name = None if deployment is state.deployments.default else deployment.name
    return pages.index(
        state.store,
        gateway.model,
        gateway.reference,
        state.monitor,
        curl_line(gateway, origin_of(request), name),
        state.store.recording.status(),
        name=deployment.name,
        versions=versions_of(state, deployment) if len(deployment.by_role) > 1 or deployment.problem else [],
        problem=deployment.problem,
        others=len(state.elsewhere()),
    )


def _overview_elsewhere(request: Request, state: State, model: ModelRecord) -> str:
    """The page of a model that is served elsewhere."""
    reference = None if model.reference_sha256 is None else state.ingest.of(model.sha256).reference
    curl = ingest_curl_line(model.name, origin_of(request))
    return pages.index(state.store, model, reference, state.monitor, curl, state.store.recording.status(), served=False)


def elsewhere_of(state: State) -> tuple[list[tuple[str, list[pages.VersionSummary]]], int]:
    """What each model did that is not served here, the latest registered first; and how many more there are."""
    known = state.elsewhere()
    shown = known[: pages.MODELS_SHOWN]
    summaries = [
        pages.version_summary(state.store, model, role="elsewhere", share=None, mirrored=False, missed=0)
        for model in shown
    ]
    listed = [(model.name, [summary]) for model, summary in zip(shown, summaries, strict=True)]
    return listed, len(known) - len(shown)


def versions_of(state: State, deployment: Deployment) -> list[pages.VersionSummary]:
    """What each version did, the live one first."""
    return [
        pages.version_summary(
            state.store,
            gateway.model,
            role=role.value,
            share=deployment.plan.share if role is Role.CANARY else None,
            mirrored=role is Role.SHADOW,
            missed=deployment.not_mirrored if role is Role.SHADOW else 0,
        )
        for role, gateway in deployment.by_role.items()
    ]


def _deployment(state: State, deployment: Deployment) -> dict[str, Any]:
    described = {gateway.model.sha256: _described(gateway) for gateway in deployment.by_role.values()}
    return {
        "name": deployment.name,
        "problem": deployment.problem,
        "versions": [{**asdict(one), **described[one.sha256]} for one in versions_of(state, deployment)],
    }


def _described(gateway: Gateway) -> dict[str, Any]:
    reference = gateway.reference
    body: dict[str, Any] = {
        "sha256": gateway.model.sha256,
        "name": gateway.model.name,
        "application": gateway.model.application,
        "task": gateway.model.task,
        "classes": gateway.model.classes,
        "embedding_dimension": gateway.engine.dimension,
        "embedding_layer": gateway.engine.embedding_layer,
        "backend": gateway.engine.backend.name,
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
    return body
