"""The models behind this gateway, as pages and JSON show them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from monitor.overview.versions import ServedModel, Traffic, VersionSummary, summarize_version
from monitor.reference.profile import Reference
from serving.gateway.gateway import Gateway
from serving.http.app_state import NO_REFERENCE, State
from serving.rollout.deployment import Deployment
from serving.rollout.traffic_plan import Role
from store.errors import NotFound
from store.repositories.models import ModelRecord


@dataclass(frozen=True)
class ModelWithReference:
    """A model of the record, and its reference if it has one."""

    model: ModelRecord
    reference: Reference | None


def gateways(state: State) -> Iterator[Gateway]:
    """Every version that is served here."""
    for deployment in state.deployments.all:
        yield from deployment.by_role.values()


def find_model(state: State, name: str | None) -> ModelWithReference:
    """The model with this name or a hash that begins so; by default the first that is served, or else recorded.

    Raises:
        NotFound: there is none.
    """
    if name is None:
        default = [deployment.live.model for deployment in state.deployments.all] + state.elsewhere()
        name = default[0].sha256 if default else None
    matches = [] if name is None else state.store.models.matching(name)
    if not matches:
        raise NotFound(f"No model {name or ''} was ever served from this database, or registered.")
    served = {gateway.model.sha256: gateway.reference for gateway in gateways(state)}
    # Of several with one name, the one that is served.
    model = next((match for match in matches if match.sha256 in served), matches[0])
    if model.sha256 in served:
        return ModelWithReference(model, served[model.sha256])
    return recorded_model(state, model)


def recorded_model(state: State, model: ModelRecord) -> ModelWithReference:
    """A model that is not served here, with the reference that the record keeps."""
    reference = None if model.reference_sha256 is None else state.ingest.for_model(model.sha256).reference
    return ModelWithReference(model, reference)


def served_model(state: State, deployment: Deployment) -> ServedModel:
    """A served name with what each of its versions did."""
    return ServedModel(deployment.name, summarize_versions(state, deployment), deployment.problem)


def summarize_versions(state: State, deployment: Deployment) -> list[VersionSummary]:
    """What each version did, the live one first."""
    return [
        summarize_version(state.store, gateway.model, _traffic(deployment, role))
        for role, gateway in deployment.by_role.items()
    ]


def describe_deployment(state: State, deployment: Deployment) -> dict[str, Any]:
    """A served name as JSON: each version, what it did, and what it is."""
    descriptions = {gateway.model.sha256: describe_gateway(gateway) for gateway in deployment.by_role.values()}
    return {
        "name": deployment.name,
        "problem": deployment.problem,
        "versions": [
            {**asdict(summary), **descriptions[summary.sha256]} for summary in summarize_versions(state, deployment)
        ],
    }


def describe_gateway(gateway: Gateway) -> dict[str, Any]:
    """A version as JSON: its learner, and the reference it is compared with."""
    body: dict[str, Any] = {
        "sha256": gateway.model.sha256,
        "name": gateway.model.name,
        "application": gateway.model.application,
        "task": gateway.model.task,
        "classes": gateway.model.classes,
        "embedding_dimension": gateway.engine.dimension,
        "embedding_layer": gateway.engine.embedding_layer,
        "backend": gateway.engine.backend.name,
        "reference": None,
    }
    if gateway.reference is None:
        body["reference_reason"] = NO_REFERENCE
    else:
        body["reference"] = _describe_reference(gateway.model, gateway.reference)
    return body


def _describe_reference(model: ModelRecord, reference: Reference) -> dict[str, Any]:
    return {
        "sha256": model.reference_sha256,
        "training_rows": reference.training_rows,
        "calibration_rows": len(reference.calibration_scores),
        "alpha": reference.alpha,
        "threshold": reference.threshold if reference.flagged_law.rank else None,
        "scorers": list(reference.scorers),
        "accuracy": None if reference.origin is None else reference.origin.accuracy,
        "warnings": list(reference.warnings),
    }


def _traffic(deployment: Deployment, role: Role) -> Traffic:
    return Traffic(
        role=role.value,
        share=deployment.plan.share if role is Role.CANARY else None,
        mirrored=role is Role.SHADOW,
        missed=deployment.not_mirrored if role is Role.SHADOW else 0,
    )
