"""The gateway's pages, drawn from the record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from monitor.alarm.budget import budget_of
from monitor.baselines.baseline import certificate_of
from monitor.baselines.certificate import Certificate
from monitor.checks import ACCURACY
from monitor.checks.sums_test import FEWEST_ROWS, WindowSumsTest, check_sums
from monitor.reference.profile import Reference
from monitor.settings import MonitorSettings
from monitor.shift.row_features import features_of
from monitor.shift.window_sums import sums_of
from reports.render import page
from store.database.time_buckets import HOUR_SECONDS, bucket_start
from store.recording.durable_writer import RecordingStatus
from store.repositories.alerts import AlertState
from store.repositories.deliveries import DeliveryState
from store.repositories.models import ModelRecord
from store.repositories.predictions import Agreement
from store.repositories.runs import RunRecord
from store.rollups.rollups import ALL
from store.store import Store

RUNS = 100
LATEST = 5
CLASSES_SHOWN = 10
# Of those that fire now; the rest are counted.
ALERTS_SHOWN, ALERTS_IN_SHORT = 100, 10
MODELS_SHOWN = 50


@dataclass(frozen=True)
class VersionSummary:
    """What one version of a served name did.

    `role` is live, canary or shadow; `share` the canary's part of the traffic. `agreement` is how a shadow's predictions
    compare with those it repeats, None for others; `missed` counts what it had no time for. `verdict` is the monitor's
    latest, `firing` its alerts now, `flagged_share` of all it scored.
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


def version_summary(
    store: Store, model: ModelRecord, *, role: str, share: float | None, mirrored: bool, missed: int
) -> VersionSummary:
    """Put together what the record knows of one version."""
    totals = store.counters.total(model.sha256)
    runs = store.runs.recent(model.sha256, limit=1)
    return VersionSummary(
        role=role,
        sha256=model.sha256,
        name=model.name,
        share=share,
        predictions=totals.count,
        flagged_share=totals.flagged_share,
        mean_confidence=totals.mean_confidence,
        verdict=runs[0].verdict.value if runs else None,
        cause=runs[0].cause if runs else None,
        run_id=runs[0].id if runs else None,
        firing=store.alerts.count_firing(model.sha256),
        agreement=store.predictions.agreement(model.sha256) if mirrored else None,
        missed=missed,
    )


def models(
    store: Store,
    served: Sequence[tuple[str, str | None, Sequence[VersionSummary]]],
    elsewhere: Sequence[tuple[str, Sequence[VersionSummary]]],
    more: int,
    where: str,
) -> str:
    """The list of served names, each with what is wrong with it, if anything, and its versions; and of models that are
    served elsewhere, of which there are so many more. `where` is the gateway's origin."""
    firing = store.alerts.all(AlertState.FIRING)
    return page("models.html", here="/", served=served, elsewhere=elsewhere, more=more, firing=firing, where=where)


def index(
    store: Store,
    model: ModelRecord,
    reference: Reference | None,
    settings: MonitorSettings,
    curl: str,
    recording: RecordingStatus,
    *,
    name: str | None = None,
    versions: Sequence[VersionSummary] = (),
    problem: str | None = None,
    served: bool = True,
    others: int = 0,
) -> str:
    """The overview of a model.

    Args:
        store: the record.
        model: the live version.
        reference: its reference.
        settings: of the monitor.
        curl: a prediction from the command line.
        recording: how it goes.
        name: under which it is served.
        versions: all of them, where there are several.
        problem: what is wrong with one of them.
        served: whether it is served here, and not elsewhere.
        others: how many more models the record knows.
    """
    baseline = store.baselines.active(model.sha256)
    per_day = store.counters.per_day(model.sha256, store.database.utc_now())
    models = sum(one.reference_sha256 is not None for one in store.models.all())
    certificate = None
    if baseline is not None:
        certificate = certificate_of(baseline)
    elif reference is not None and reference.certificate is not None:
        certificate = Certificate(**reference.certificate)
    runs = store.runs.recent(model.sha256, limit=LATEST)
    return page(
        "index.html",
        here="/",
        model=model,
        name=name or model.name,
        versions=versions,
        problem=problem,
        served=served,
        others=others,
        recording=recording.warning,
        notices=store.system_alerts.all(AlertState.FIRING),
        reference=reference,
        predictions=store.counters.total(model.sha256).count,
        firing=store.alerts.all(AlertState.FIRING),
        shown=ALERTS_IN_SHORT,
        runs=runs,
        reported={entry.run_id for entry in store.reports.recent(limit=RUNS)},
        curl=curl,
        baseline=baseline,
        certificate=certificate,
        power=[] if certificate is None else certificate.power(per_day or None),
        budget=budget_of(settings.false_alarm_every_days, models, settings.looks_per_day),
        accuracy=_accuracy(store, runs),
        today=None if reference is None else _last_day(store, model, reference),
    )


def _last_day(store: Store, model: ModelRecord, reference: Reference) -> WindowSumsTest | None:
    """The last 24 hours from what gateways add up; None where that is too little to say."""
    until = store.database.utc_now()
    # Hours are whole: minutes of the first one may have become one already.
    since = bucket_start(until - timedelta(days=1), HOUR_SECONDS)
    rollup = store.rollups.sums(model.sha256, since, until, features_of(reference).sha256).get(ALL)
    if rollup is None or rollup.count < FEWEST_ROWS:
        return None
    return check_sums(reference, sums_of(reference, rollup))


def _accuracy(store: Store, runs: Sequence[RunRecord]) -> dict[str, Any] | None:
    """The latest estimate of accuracy, of the latest run that has one."""
    for run in runs:
        if run.accuracy_loss is None:
            continue
        for result in store.runs.get(run.id).results:
            if result.check == ACCURACY:
                return result.detail
    return None


def reports(store: Store, where: str) -> str:
    """The list of windows and their reports; `where` is the gateway's origin."""
    return page(
        "reports.html",
        here="/reports",
        where=where,
        runs=store.runs.recent(limit=RUNS),
        reported={entry.run_id for entry in store.reports.recent(limit=RUNS)},
    )


def alerts(store: Store, destinations: Sequence[str], where: str) -> str:
    """The alerts and what became of them; `where` is the gateway's origin."""
    counts, everything = store.deliveries.counts(), store.alerts.all()
    return page(
        "alerts.html",
        here="/alerts",
        alerts=everything[:ALERTS_SHOWN],
        more=everything[ALERTS_SHOWN:],
        names={model.sha256: model.name for model in store.models.all()},
        events=store.alerts.events(limit=50),
        pending=counts[DeliveryState.PENDING],
        dead=counts[DeliveryState.DEAD],
        destinations=destinations,
        notices=store.system_alerts.all(AlertState.FIRING),
        where=where,
    )


def try_it(
    model: ModelRecord,
    *,
    name: str,
    names: Sequence[str],
    curl: str,
    fields: dict[str, Any] | None,
    answer: Any = None,
    probabilities: Sequence[float] | None = None,
    picture: str | None = None,
    problem: dict[str, Any] | None = None,
) -> str:
    """The page to try the model on.

    Args:
        model: the live version.
        name: under which it is served.
        names: all that are served.
        curl: the same call from the command line.
        fields: the columns of a table with the values to begin with; None for pictures.
        answer: what the gateway answered, if something was sent.
        probabilities: one for each class.
        picture: the picture that was sent, as a `data:` address.
        problem: why what was sent can't be used.
    """
    shares = sorted(zip(model.classes, probabilities or [], strict=False), key=lambda pair: -pair[1])
    return page(
        "try.html",
        here="/try",
        model=model,
        name=name,
        names=names,
        curl=curl,
        fields=fields,
        row=fields or {},
        answer=answer,
        shares=shares[:CLASSES_SHOWN],
        picture=picture,
        problem=problem,
    )


def api() -> str:
    """The API's page."""
    return page("api.html", here="/docs")


def missing(title: str, detail: str) -> str:
    """A page that is not there."""
    return page("missing.html", title=title, detail=detail)
