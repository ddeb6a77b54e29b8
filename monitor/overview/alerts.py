"""The alerts of all models, their latest changes, and what became of the messages about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from store.repositories.alerts import AlertEvent, AlertRecord, AlertState
from store.repositories.deliveries import DeliveryState
from store.repositories.system_alerts import SystemAlert
from store.store import Store

ALERTS_SHOWN = 100
EVENTS_SHOWN = 50


@dataclass(frozen=True)
class AlertList:
    """Alerts, those that fire first; the latest changes of state; and the alerts about the installation itself."""

    alerts: Sequence[AlertRecord]
    events: Sequence[AlertEvent]
    system_alerts: Sequence[SystemAlert]


@dataclass(frozen=True)
class AlertsOverview:
    """The alerts that a page shows.

    `not_shown` counts the alerts beyond those, `firing_not_shown` how many of them fire. `model_names` are by SHA-256.
    `pending` and `dead` count messages that wait to be delivered and that could not be. `system_alerts` are those that
    fire.
    """

    alerts: Sequence[AlertRecord]
    not_shown: int
    firing_not_shown: int
    model_names: Mapping[str, str]
    events: Sequence[AlertEvent]
    pending: int
    dead: int
    system_alerts: Sequence[SystemAlert]


def list_alerts(store: Store, state: AlertState | None = None) -> AlertList:
    """All alerts, or those in one state."""
    return AlertList(
        alerts=store.alerts.all(state),
        events=store.alerts.events(limit=EVENTS_SHOWN),
        system_alerts=store.system_alerts.all(),
    )


def read_alerts_overview(store: Store) -> AlertsOverview:
    """The alerts and the state of their messages."""
    message_counts, alerts = store.deliveries.counts(), store.alerts.all()
    not_shown = alerts[ALERTS_SHOWN:]
    return AlertsOverview(
        alerts=alerts[:ALERTS_SHOWN],
        not_shown=len(not_shown),
        firing_not_shown=sum(alert.state is AlertState.FIRING for alert in not_shown),
        model_names=read_model_names(store),
        events=store.alerts.events(limit=EVENTS_SHOWN),
        pending=message_counts[DeliveryState.PENDING],
        dead=message_counts[DeliveryState.DEAD],
        system_alerts=store.system_alerts.all(AlertState.FIRING),
    )


def read_model_names(store: Store) -> dict[str, str]:
    """The name of each model by its SHA-256."""
    return {model.sha256: model.name for model in store.models.all()}
