"""Metrics in the text format of Prometheus: how recording goes, what was predicted, what fires."""

from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from serving.http.state import Shared, State
from store.errors import StoreUnavailable
from store.repositories.alerts import AlertState

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
        yield from _recording(self._state)
        try:
            yield from [*_predicted(self._state), *_alerts(self._state)]
        except StoreUnavailable:
            return


def _recording(state: State) -> Iterator[Metric]:
    recorded = state.store.recording.status()
    spool = recorded.spool
    for name, words, value in (
        ("database_away", "1 while predictions go to the spool.", recorded.away is not None),
        ("spool_predictions", "Predictions that wait in the spool.", spool.rows),
        ("spool_bytes", "Bytes that the spool takes.", spool.bytes),
        ("spool_maximum_bytes", "Bytes that the spool may take; 0 where there is none.", recorded.maximum_bytes),
        ("spool_oldest_seconds", "How long the oldest has been waiting.", spool.oldest_seconds),
        ("spool_drained_per_second", "Predictions a second that leave the spool.", recorded.drained_per_second),
        ("spool_put_aside", "Predictions in the spool that can't be recorded: tidegate fsck.", spool.put_aside),
    ):
        yield GaugeMetricFamily(f"tidegate_{name}", words, value=float(value))
    words = "Predictions that this process answered without recording them: there was no room."
    yield CounterMetricFamily("tidegate_unrecorded_predictions", words, value=recorded.unrecorded)


def _predicted(state: State) -> Iterator[Metric]:
    predicted = CounterMetricFamily("tidegate_predictions", "Predictions in the record.", labels=["model", "version"])
    flagged = CounterMetricFamily(
        "tidegate_flagged_predictions", "Those of them flagged as out of domain.", labels=["model", "version"]
    )
    served = [gateway.model for one in state.deployments.all for gateway in one.by_role.values()]
    for model in (*served, *state.elsewhere()):
        totals, labels = state.store.counters.total(model.sha256), [model.name, model.sha256[:12]]
        predicted.add_metric(labels, totals.count)
        flagged.add_metric(labels, totals.flagged)
    yield predicted
    yield flagged


def _alerts(state: State) -> Iterator[Metric]:
    firing = GaugeMetricFamily("tidegate_alerts_firing", "Alerts that fire.", labels=["model", "check"])
    names = {model.sha256: model.name for model in state.store.models.all()}
    for alert in state.store.alerts.all():
        labels = [names.get(alert.model_sha256, alert.model_sha256[:12]), alert.check]
        firing.add_metric(labels, float(alert.state is AlertState.FIRING))
    yield firing
