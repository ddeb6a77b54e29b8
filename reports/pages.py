"""The gateway's pages, drawn from the record."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from monitor.alarm.certificate import Certificate
from monitor.alarm.watchkeeper import budget_of
from monitor.baseline import certificate_of
from monitor.checks import ACCURACY
from monitor.reference import Reference
from monitor.settings import MonitorSettings
from monitor.shift.sums import FEWEST_ROWS, SumsTest, check_sums, sums_between
from reports.render import page
from store import Store
from store.alerts import AlertState
from store.clock import utc_now
from store.deliveries import DeliveryState
from store.models import ModelRecord
from store.runs import RunRecord

RUNS = 100
LATEST = 5
CLASSES_SHOWN = 10


def index(store: Store, model: ModelRecord, reference: Reference | None, settings: MonitorSettings, curl: str) -> str:
    """The overview of a served model."""
    baseline = store.baselines.active(model.sha256)
    per_day = store.predictions.per_day(model.sha256, utc_now())
    models = sum(one.reference_sha256 is not None for one in store.models.all())
    certificate = None
    if baseline is not None:
        certificate = certificate_of(baseline)
    elif reference is not None and reference.certificate is not None:
        certificate = Certificate(**reference.certificate)
    runs = store.runs.recent(model.sha256, limit=LATEST)
    return page(
        "index.html",
        model=model,
        reference=reference,
        predictions=store.predictions.count(model.sha256),
        firing=store.alerts.all(AlertState.FIRING),
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


def _last_day(store: Store, model: ModelRecord, reference: Reference) -> SumsTest | None:
    """The last 24 hours from the sums that gateways keep by the minute; None where they are too few to say."""
    until = utc_now()
    sums = sums_between(store.minutes, model.sha256, reference, until - timedelta(days=1), until)
    return check_sums(reference, sums) if sums.count >= FEWEST_ROWS else None


def _accuracy(store: Store, runs: Sequence[RunRecord]) -> dict[str, Any] | None:
    """The latest estimate of accuracy, of the latest run that has one."""
    for run in runs:
        if run.accuracy_loss is None:
            continue
        for result in store.runs.get(run.id).results:
            if result.check == ACCURACY:
                return result.detail
    return None


def reports(store: Store) -> str:
    """The list of windows and their reports."""
    return page(
        "reports.html",
        here="/reports",
        runs=store.runs.recent(limit=RUNS),
        reported={entry.run_id for entry in store.reports.recent(limit=RUNS)},
    )


def alerts(store: Store, destinations: Sequence[str]) -> str:
    """The alerts and what became of them."""
    counts = store.deliveries.counts()
    return page(
        "alerts.html",
        here="/alerts",
        alerts=store.alerts.all(),
        names={model.sha256: model.name for model in store.models.all()},
        events=store.alerts.events(limit=50),
        pending=counts[DeliveryState.PENDING],
        dead=counts[DeliveryState.DEAD],
        destinations=destinations,
    )


def try_it(
    model: ModelRecord,
    *,
    curl: str,
    fields: dict[str, Any] | None,
    answer: Any = None,
    probabilities: Sequence[float] | None = None,
    picture: str | None = None,
    problem: dict[str, Any] | None = None,
) -> str:
    """The page to try the model on.

    Args:
        model: the served model.
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
