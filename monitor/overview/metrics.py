"""What the record counts for metrics: predictions of each model, and the state of each alert."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitor.overview.alerts import read_model_names
from store.repositories.alerts import AlertState
from store.repositories.models import ModelRecord
from store.store import Store


@dataclass(frozen=True)
class PredictionCount:
    """The recorded predictions of one model, and how many of them were flagged."""

    model: ModelRecord
    predictions: int
    flagged: int


@dataclass(frozen=True)
class AlertStatus:
    """Whether the alert of one check on one model fires; `model` is a name, or a part of the SHA-256 of an unknown one."""

    model: str
    check: str
    firing: bool


def count_predictions(store: Store, models: Iterable[ModelRecord]) -> list[PredictionCount]:
    """The recorded predictions of each of these models."""
    counts = []
    for model in models:
        totals = store.counters.total(model.sha256)
        counts.append(PredictionCount(model, totals.count, totals.flagged))
    return counts


def list_alert_statuses(store: Store) -> Sequence[AlertStatus]:
    """The state of every alert there ever was."""
    names = read_model_names(store)
    return [
        AlertStatus(
            model=names.get(alert.model_sha256, alert.model_sha256[:12]),
            check=alert.check,
            firing=alert.state is AlertState.FIRING,
        )
        for alert in store.alerts.all()
    ]
