"""Windows that were judged before all of their predictions had come: they are judged again."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from monitor.passes.commit import commit
from monitor.passes.decide import decide
from monitor.passes.monitor_pass import LateWindow, PassResult
from monitor.passes.pass_context import PassContext
from monitor.passes.read import read_late_window
from store.clock import EPOCH
from store.repositories.models import ModelRecord
from store.repositories.runs import RunRecord
from store.store import Store

# Windows whose predictions are counted again at every look, and the most that are judged again at one.
_ALWAYS_COUNTED, _MOST_JUDGED_AGAIN = 3, 50
_MINUTE = timedelta(minutes=1)


def judge_late_arrivals(context: PassContext, model: ModelRecord) -> list[PassResult]:
    """Judge windows again to which predictions have come since: from a spool, from elsewhere, after a clock was set back.

    Only where it is the latest window do alerts follow: an older one says nothing of the state now.

    Raises:
        LeaseLost: another monitor has taken over.
    """
    store = context.store
    late_minutes = store.late_arrivals.minutes(model.sha256)
    latest = store.runs.judged(model.sha256, limit=_ALWAYS_COUNTED)
    results = []
    for run in _doubtful_runs(store, model, latest, late_minutes):
        if store.predictions.count_between(model.sha256, run.since, run.until) != run.count:
            monitor_pass = read_late_window(context, model, LateWindow(run, is_latest=run.id == latest[0].id))
            results.append(commit(context, monitor_pass, decide(monitor_pass)))
    # Where the window is not over yet they come in time after all.
    judged_until = latest[0].until if latest else EPOCH
    settled = {minute: count for minute, count in late_minutes.items() if minute <= judged_until}
    if settled:
        with store.writing() as transaction:
            context.fence(transaction)
            store.late_arrivals.delete_unchanged(transaction, model.sha256, settled)
    return [result for result in results if result is not None]


def _doubtful_runs(
    store: Store, model: ModelRecord, latest: list[RunRecord], late_minutes: Mapping[datetime, int]
) -> Iterable[RunRecord]:
    """Runs whose window overlaps a minute in which any came late, or so recent that a stalled commit may have missed it."""
    overlapping = []
    if late_minutes:
        earlier = store.runs.judged(model.sha256, min(late_minutes), limit=_MOST_JUDGED_AGAIN)
        overlapping = [
            run for run in earlier if any(run.since < at + _MINUTE and run.until >= at for at in late_minutes)
        ]
    return {run.id: run for run in (*latest, *overlapping)}.values()
