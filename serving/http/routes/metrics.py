"""Metrics in the text format of Prometheus: how recording goes, what was predicted, what fires."""

from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from monitor.overview.metrics import count_predictions, list_alert_statuses
from serving.http.app_state import Shared, State
from serving.http.served_models import gateways
from store.errors import StoreUnavailable

router = APIRouter(tags=["health"])


@router.get("/metrics")
def metrics(state: Shared) -> Response:
    """For Prometheus. What only the database knows is left out while that is away."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(state))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Collector(Collector):
    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        yield from _recording_metrics(self._state)
        try:
            yield from [*_prediction_metrics(self._state), *_alert_metrics(self._state)]
        except StoreUnavailable:
            return


def _recording_metrics(state: State) -> Iterator[Metric]:
    status = state.store.recording.status()
    spool = status.spool
    for name, description, value in (
        ("database_away", "1 while predictions go to the spool.", status.away is not None),
        ("spool_predictions", "Predictions that wait in the spool.", spool.rows),
        ("spool_bytes", "Bytes that the spool takes.", spool.bytes),
        ("spool_maximum_bytes", "Bytes that the spool may take; 0 where there is none.", status.maximum_bytes),
        ("spool_oldest_seconds", "How long the oldest has been waiting.", spool.oldest_seconds),
        ("spool_drained_per_second", "Predictions a second that leave the spool.", status.drained_per_second),
        ("spool_put_aside", "Predictions in the spool that can't be recorded: tidegate fsck.", spool.put_aside),
    ):
        yield GaugeMetricFamily(f"tidegate_{name}", description, value=float(value))
    description = "Predictions that this process answered without recording them: there was no room."
    yield CounterMetricFamily("tidegate_unrecorded_predictions", description, value=status.unrecorded)


def _prediction_metrics(state: State) -> Iterator[Metric]:
    predictions = CounterMetricFamily("tidegate_predictions", "Predictions in the record.", labels=["model", "version"])
    flagged = CounterMetricFamily(
        "tidegate_flagged_predictions", "Those of them flagged as out of domain.", labels=["model", "version"]
    )
    models = [*(gateway.model for gateway in gateways(state)), *state.elsewhere()]
    for count in count_predictions(state.store, models):
        labels = [count.model.name, count.model.sha256[:12]]
        predictions.add_metric(labels, count.predictions)
        flagged.add_metric(labels, count.flagged)
    yield predictions
    yield flagged


def _alert_metrics(state: State) -> Iterator[Metric]:
    firing = GaugeMetricFamily("tidegate_alerts_firing", "Alerts that fire.", labels=["model", "check"])
    for alert in list_alert_statuses(state.store):
        firing.add_metric([alert.model, alert.check], float(alert.firing))
    yield firing
