"""The overview of one model: what it predicted, what the monitor said last, and what its alerts watch."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.alarm.budget import Budget, installation_budget
from monitor.baselines.baseline import certificate_of
from monitor.baselines.certificate import Certificate
from monitor.checks import ACCURACY
from monitor.checks.sums_comparison import WindowSumsTest
from monitor.history.query import check_last_day
from monitor.overview.runs import RunList, list_runs
from monitor.reference.profile import Reference
from monitor.settings import MonitorSettings
from store.repositories.alerts import AlertRecord, AlertState
from store.repositories.baselines import BaselineRecord
from store.repositories.models import ModelRecord
from store.repositories.runs import RunRecord
from store.repositories.system_alerts import SystemAlert
from store.store import Store

RUNS_SHOWN = 5
ALERTS_SHOWN = 10


@dataclass(frozen=True)
class AccuracyRange:
    """An estimated accuracy with its interval, between 0 and 1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ModelOverview:
    """What the record holds of one model.

    `alerts` are the first that fire, of all models, and `firing` counts all of them; `system_alerts` are those about the
    installation itself. `recording_warning` says what is wrong with recording here, if anything is. `accuracy` is the
    estimate of the latest run that has one. `last_day` tests the last 24 hours against training, None where there are
    too few predictions. `certificate` is of the baseline, or of the reference where none is pinned, and `power` says in
    sentences how soon unknown inputs are noticed.
    """

    model: ModelRecord
    reference: Reference | None
    recording_warning: str | None
    predictions: int
    alerts: Sequence[AlertRecord]
    firing: int
    system_alerts: Sequence[SystemAlert]
    runs: RunList
    accuracy: AccuracyRange | None
    last_day: WindowSumsTest | None
    baseline: BaselineRecord | None
    certificate: Certificate | None
    power: Sequence[str]
    budget: Budget


def read_model_overview(
    store: Store, model: ModelRecord, reference: Reference | None, settings: MonitorSettings
) -> ModelOverview:
    """The overview of a model.

    Args:
        store: the record.
        model: the model.
        reference: its reference.
        settings: the monitor's.
    """
    until = store.database.utc_now()
    alerts = store.alerts.all(AlertState.FIRING)
    runs = list_runs(store, model.sha256, limit=RUNS_SHOWN)
    baseline = store.baselines.active(model.sha256)
    certificate = _certificate(baseline, reference)
    predictions_per_day = store.counters.per_day(model.sha256, until)
    return ModelOverview(
        model=model,
        reference=reference,
        recording_warning=store.recording.status().warning,
        predictions=store.counters.total(model.sha256).count,
        alerts=alerts[:ALERTS_SHOWN],
        firing=len(alerts),
        system_alerts=store.system_alerts.all(AlertState.FIRING),
        runs=runs,
        accuracy=_latest_accuracy(store, runs.runs),
        last_day=None if reference is None else check_last_day(store, model, reference, until),
        baseline=baseline,
        certificate=certificate,
        power=[] if certificate is None else certificate.power(predictions_per_day or None),
        budget=installation_budget(store.models.all(), settings),
    )


def _certificate(baseline: BaselineRecord | None, reference: Reference | None) -> Certificate | None:
    if baseline is not None:
        return certificate_of(baseline)
    if reference is None or reference.certificate is None:
        return None
    return Certificate(**reference.certificate)


def _latest_accuracy(store: Store, runs: Sequence[RunRecord]) -> AccuracyRange | None:
    for run in runs:
        if run.accuracy_loss is None:
            continue
        for result in store.runs.get(run.id).results:
            if result.check == ACCURACY:
                return AccuracyRange(result.detail["value"], result.detail["low"], result.detail["high"])
    return None
