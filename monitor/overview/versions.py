"""What each version of a served model did, and the models that have no version here."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from store.repositories.alerts import AlertState
from store.repositories.models import ModelRecord
from store.repositories.predictions import Agreement
from store.store import Store

ELSEWHERE = "elsewhere"
MODELS_SHOWN = 50


@dataclass(frozen=True)
class Traffic:
    """Which requests a version sees.

    `role` is live, canary, shadow or elsewhere; `share` the canary's part of the traffic. A version is `mirrored` when it
    repeats the predictions of another one, and `missed` counts those it had no time for.
    """

    role: str
    share: float | None = None
    mirrored: bool = False
    missed: int = 0


@dataclass(frozen=True)
class VersionSummary:
    """What one version of a model did.

    `role`, `share` and `missed` are those of its `Traffic`. `flagged_share` is of all predictions it scored, `verdict`,
    `cause` and `run_id` are of the monitor's latest run, `firing` counts its alerts that fire. `agreement` is how a
    mirrored version's predictions compare with those it repeats, None for other versions.
    """

    role: str
    sha256: str
    name: str
    share: float | None
    predictions: int
    flagged_share: float | None
    mean_confidence: float | None
    verdict: str | None
    cause: str | None
    run_id: UUID | None
    firing: int
    agreement: Agreement | None
    missed: int


@dataclass(frozen=True)
class ServedModel:
    """A model under the name that it is served by, with its versions, the live one first.

    `problem` says what is wrong with one of the versions, if anything is; `served_here` is False for a model whose
    predictions are made elsewhere.
    """

    name: str
    versions: Sequence[VersionSummary] = ()
    problem: str | None = None
    served_here: bool = True


@dataclass(frozen=True)
class ModelList:
    """Models served here, models served elsewhere and how many more of these there are, and how many alerts fire."""

    served: Sequence[ServedModel]
    elsewhere: Sequence[ServedModel]
    elsewhere_not_shown: int
    firing: int


def summarize_version(store: Store, model: ModelRecord, traffic: Traffic) -> VersionSummary:
    """Summarize what the record holds of one version."""
    totals = store.counters.total(model.sha256)
    latest_run = next(iter(store.runs.recent(model.sha256, limit=1)), None)
    return VersionSummary(
        role=traffic.role,
        sha256=model.sha256,
        name=model.name,
        share=traffic.share,
        predictions=totals.count,
        flagged_share=totals.flagged_share,
        mean_confidence=totals.mean_confidence,
        verdict=None if latest_run is None else latest_run.verdict.value,
        cause=None if latest_run is None else latest_run.cause,
        run_id=None if latest_run is None else latest_run.id,
        firing=store.alerts.count_firing(model.sha256),
        agreement=store.predictions.agreement(model.sha256) if traffic.mirrored else None,
        missed=traffic.missed,
    )


def list_models(store: Store, served: Sequence[ServedModel], elsewhere: Sequence[ModelRecord]) -> ModelList:
    """The list of all models.

    Args:
        store: the record.
        served: the models that are served here.
        elsewhere: the models that are not, in the order in which they are shown.
    """
    shown = elsewhere[:MODELS_SHOWN]
    return ModelList(
        served=served,
        elsewhere=[
            ServedModel(model.name, [summarize_version(store, model, Traffic(ELSEWHERE))], served_here=False)
            for model in shown
        ],
        elsewhere_not_shown=len(elsewhere) - len(shown),
        firing=len(store.alerts.all(AlertState.FIRING)),
    )


def list_model_names(store: Store) -> list[str]:
    """The names of all models, the latest registered first, each once."""
    return list(dict.fromkeys(model.name for model in store.models.all()))
