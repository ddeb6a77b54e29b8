"""One pass of the monitor over one model: window, checks, alarms, alerts and the messages owed, in one transaction."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from monitor.alarm.advance import AlarmAdvance, advance_alarms, budget_of
from monitor.alarm.budget import Budget
from monitor.alerts.rules import next_alert
from monitor.baselines.baseline import comparison
from monitor.checks import ACCURACY
from monitor.checks.verdict import Judgement, judge, no_verdict
from monitor.checks.window_test import WindowTest
from monitor.passes.evidence import freeze, judging
from monitor.reference.profile import Reference
from monitor.reference.window import Window
from monitor.seed import generator
from monitor.settings import MonitorSettings
from monitor.shift.input_groups import Group, KnownGroup, group_inputs
from store.clock import new_id
from store.database.engine import Transaction
from store.errors import BadReference, LeaseLost, NotFound, TidegateError
from store.repositories.alerts import AlertEvent, AlertState
from store.repositories.baselines import BaselineRecord
from store.repositories.groups import GroupRecord
from store.repositories.jobs import Fence, no_fence
from store.repositories.models import ModelRecord
from store.repositories.predictions import RecordedWindow
from store.repositories.runs import RunRecord, Verdict
from store.store import Store

logger = logging.getLogger(__name__)

# A prediction gets its time just before its commit; by then every one with a time in the window is in the record.
SETTLE = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Windows whose predictions are counted again at every look, and the most that are judged again at one.
_ALWAYS_COUNTED, _MOST_JUDGED_AGAIN = 3, 50


@dataclass(frozen=True)
class PassResult:
    """What one pass found of one model, with all that a report of it is drawn from.

    `test` is the window's test and `groups` its groups of new inputs, whose members are places among the recorded rows;
    None and empty where no verdict was possible.
    """

    model: ModelRecord
    reference: Reference | None
    recorded: RecordedWindow
    run: RunRecord
    events: tuple[AlertEvent, ...]
    test: WindowTest | None = None
    groups: tuple[Group, ...] = ()


def watch(
    store: Store,
    settings: MonitorSettings,
    now: Callable[[], datetime] | None = None,
    settle: Callable[[float], None] = time.sleep,
    fence: Fence = no_fence,
) -> list[PassResult]:
    """Look at every model once. A model that can't be looked at does not stop the others.

    Args:
        store: the record.
        settings: what to look at.
        now: the instant at which windows end; by default the database's clock says it.
        settle: waits until what was predicted by then is recorded.
        fence: called first in every transaction that writes; raises where another monitor has taken over.

    Raises:
        LeaseLost: another monitor has taken over.
    """
    until = now() if now is not None else store.jobs.now()
    settle(SETTLE.total_seconds())
    models = store.models.all()
    watching = sum(model.reference_sha256 is not None for model in models)
    budget = budget_of(settings.false_alarm_every_days, watching, settings.looks_per_day)
    found = []
    for model in models:
        try:
            found += judge_late_arrivals(store, model, settings, budget, fence)
            watched = watch_model(store, model, settings, until, budget, fence)
        except LeaseLost:
            raise
        except TidegateError:
            logger.exception("%s could not be looked at; the next pass tries again", model.name)
            continue
        if watched is not None:
            found.append(watched)
    return found


def judge_late_arrivals(
    store: Store, model: ModelRecord, settings: MonitorSettings, budget: Budget, fence: Fence = no_fence
) -> list[PassResult]:
    """Judge windows again to which predictions have come since: from a spool, from elsewhere, after a clock was set back.

    Only where it is the latest window do alerts follow: an older one says nothing of the state now.
    """
    late = store.late_arrivals.minutes(model.sha256)
    earliest = min(late, default=None)
    latest = store.runs.judged(model.sha256, limit=_ALWAYS_COUNTED)
    old = [] if earliest is None else store.runs.judged(model.sha256, earliest, limit=_MOST_JUDGED_AGAIN)
    # Overlapping a minute in which any came late, or so recent that a stalled commit may have missed it unnoticed.
    minute = timedelta(minutes=1)
    overlapping = [run for run in old if any(run.since < at + minute and run.until >= at for at in late)]
    doubtful = {run.id: run for run in (*latest, *overlapping)}
    again = []
    for run in doubtful.values():
        if store.predictions.count_between(model.sha256, run.since, run.until) != run.count:
            watched = _judge_again(store, model, settings, budget, run, run.id == latest[0].id, fence)
            again += [] if watched is None else [watched]
    # Where the window is not over yet they come in time after all.
    over = latest[0].until if latest else _EPOCH
    settled = {at: count for at, count in late.items() if at <= over}
    if settled:
        with store.writing() as transaction:
            fence(transaction)
            store.late_arrivals.delete_unchanged(transaction, model.sha256, settled)
    return again


def _judge_again(
    store: Store,
    model: ModelRecord,
    settings: MonitorSettings,
    budget: Budget,
    old: RunRecord,
    is_latest: bool,
    fence: Fence,
) -> PassResult | None:
    seed = f"{old.seed}/again"
    recorded = store.predictions.window(
        model.sha256, old.since, old.until, max_rows=settings.maximum_rows, rng=generator(seed)
    )
    reference, baseline, judgement = _judge(store, model, recorded, settings, judging(seed), budget)
    at = store.database.utc_now()
    run = run_of(model, recorded, judgement, at=at, seed=seed, since=old.since, reference=reference)
    watched = PassResult(model, reference, recorded, run, (), judgement.test)
    with store.writing() as transaction:
        fence(transaction)
        store.runs.add(transaction, run)
        if not store.runs.replace(transaction, old.id, run.id):
            # Another monitor was faster.
            transaction.rollback()
            return None
        events = _alerts(store, transaction, model, run, settings) if is_latest else []
        if _fires(events):
            document = freeze(run, recorded, settings, baseline, budget.alpha, None, old.since)
            store.evidence.freeze(transaction, run.id, document)
    more = run.count - old.count
    logger.info("%s: the window until %s was judged again, with %+d predictions", model.name, old.until, more)
    return replace(watched, events=tuple(events))


def watch_model(
    store: Store,
    model: ModelRecord,
    settings: MonitorSettings,
    until: datetime,
    budget: Budget | None = None,
    fence: Fence = no_fence,
) -> PassResult | None:
    """Judge the window of one model that ends at `until`; None if another monitor has just judged it."""
    spend = budget or budget_of(settings.false_alarm_every_days, 1, settings.looks_per_day)
    judged_until = store.runs.last_judged_until(model.sha256)
    since = _since(store, model, settings, judged_until, until)
    seed = f"{model.sha256}/{since.isoformat()}/{until.isoformat()}"
    recorded = store.predictions.window(model.sha256, since, until, max_rows=settings.maximum_rows, rng=generator(seed))
    reference, baseline, judgement = _judge(store, model, recorded, settings, judging(seed), spend)
    look = None
    if reference is not None:
        look = _alarms(store, model, reference, baseline, judgement, since, until, spend)
        judgement = _with_alarms(judgement, look)
    at, start = store.database.utc_now(), _start(recorded, since)
    run = run_of(model, recorded, judgement, at=at, seed=seed, since=start, reference=reference)
    groups = () if reference is None or judgement.test is None else _groups(store, model, reference, recorded)
    watched = PassResult(model, reference, recorded, run, (), judgement.test, groups)
    if _says_nothing_new(store, run):
        if look is not None:
            with store.writing() as transaction:
                fence(transaction)
                _keep(store, transaction, look)
        return watched
    with store.writing() as transaction:
        fence(transaction)
        if store.runs.last_judged_until(model.sha256, transaction) != judged_until:
            logger.info("another monitor has judged %s in the meantime; this window is left to it", model.name)
            return None
        store.runs.add(transaction, run)
        if look is not None:
            _keep(store, transaction, look)
        _remember(store, transaction, model, recorded, groups)
        events = _alerts(store, transaction, model, run, settings)
        if _fires(events):
            document = freeze(run, recorded, settings, baseline, spend.alpha, look, since)
            store.evidence.freeze(transaction, run.id, document)
    logger.info("%s: %s (%s predictions) %s", model.name, run.verdict.value, run.count, run.sentence)
    return replace(watched, events=tuple(events))


def _alerts(
    store: Store, transaction: Transaction, model: ModelRecord, run: RunRecord, settings: MonitorSettings
) -> list[AlertEvent]:
    alerts = store.alerts.of_model(transaction, model.sha256)
    events = []
    for result in run.results:
        before = alerts.get(result.check)
        after = next_alert(before, model.sha256, result, run.id, run.at)
        if after is None or after == before:
            continue
        store.alerts.save(transaction, after)
        if before is None or before.state is not after.state:
            event = store.alerts.add_event(transaction, after, run.at)
            store.deliveries.owe(transaction, event, settings.destinations)
            events.append(event)
    return events


def _fires(events: Sequence[AlertEvent]) -> bool:
    return any(event.state is AlertState.FIRING for event in events)


def _alarms(
    store: Store,
    model: ModelRecord,
    reference: Reference,
    baseline: BaselineRecord | None,
    judgement: Judgement,
    since: datetime,
    until: datetime,
    budget: Budget,
) -> AlarmAdvance:
    ranked_among = (model.reference_sha256 or "") if baseline is None else baseline.sha256
    return advance_alarms(
        model.sha256,
        reference,
        ranked_among,
        store.alarms.of_model(model.sha256),
        lambda start, end: store.predictions.stream(model.sha256, start, end),
        since,
        until,
        budget.promise(store.counters.per_day(model.sha256, until)),
        back_to_normal=judgement.verdict is Verdict.OK,
    )


def _with_alarms(judgement: Judgement, look: AlarmAdvance) -> Judgement:
    results = (*judgement.results, look.result)
    if look.result.verdict is not Verdict.SHIFTED or judgement.verdict is Verdict.SHIFTED:
        return replace(judgement, results=results)
    # A window too small for a verdict of its own, or a change too slow for one.
    return replace(judgement, verdict=Verdict.SHIFTED, sentence=look.result.sentence, results=results)


def _keep(store: Store, transaction: Transaction, look: AlarmAdvance) -> None:
    for record in look.after:
        store.alarms.save(transaction, record)


def _groups(store: Store, model: ModelRecord, reference: Reference, recorded: RecordedWindow) -> tuple[Group, ...]:
    flagged = np.flatnonzero(recorded.flagged)
    known = [KnownGroup(one.number, one.centre, one.radius) for one in store.groups.of_model(model.sha256)]
    groups = group_inputs(recorded.embeddings[flagged], known)
    return tuple(replace(group, members=flagged[group.members]) for group in groups)


def _remember(
    store: Store,
    transaction: Transaction,
    model: ModelRecord,
    recorded: RecordedWindow,
    groups: tuple[Group, ...],
) -> None:
    known = {one.number: one for one in store.groups.of_model(model.sha256)}
    for group in groups:
        old = known.get(group.number)
        store.groups.save(
            transaction,
            GroupRecord(
                id=old.id if old else new_id(),
                model_sha256=model.sha256,
                number=group.number,
                # What it was first seen as: a group that drifts away becomes another.
                centre=old.centre if old else group.centre,
                radius=old.radius if old else group.radius,
                first_seen=old.first_seen if old else recorded.until,
                last_seen=recorded.until,
                count=(old.count if old else 0) + group.members.size,
            ),
        )


def run_of(
    model: ModelRecord,
    recorded: RecordedWindow,
    judgement: Judgement,
    *,
    at: datetime,
    seed: str,
    since: datetime,
    reference: Reference | None,
) -> RunRecord:
    """A new run: what was judged of which window, under which randomness."""
    loss = next((result.effect for result in judgement.results if result.check == ACCURACY), None)
    return RunRecord(
        id=new_id(),
        model_sha256=model.sha256,
        reference_sha256=model.reference_sha256,
        at=at,
        since=since,
        until=recorded.until,
        count=recorded.total,
        flagged=recorded.flagged_total,
        verdict=judgement.verdict,
        sentence=judgement.sentence,
        seed=seed,
        results=judgement.results,
        compared_with=None if reference is None else reference.compared_with,
        cause=None if judgement.test is None or not judgement.test.detected else judgement.test.cause.value,
        accuracy_loss=loss,
    )


def _says_nothing_new(store: Store, run: RunRecord) -> bool:
    """Whether this window got no verdict for the very reason and rows that the last one did: an idle model."""
    if run.verdict in (Verdict.OK, Verdict.SHIFTED):
        return False
    last = next(iter(store.runs.recent(run.model_sha256, limit=1)), None)
    return last is not None and (last.verdict, last.count, last.sentence) == (run.verdict, run.count, run.sentence)


def _since(
    store: Store, model: ModelRecord, settings: MonitorSettings, judged_until: datetime | None, until: datetime
) -> datetime:
    if settings.last is not None:
        return store.predictions.start_of_last(model.sha256, settings.last, until) or _EPOCH
    return judged_until or _EPOCH


def _start(recorded: RecordedWindow, since: datetime) -> datetime:
    """Where the window begins for people: at its first prediction if nothing was judged before."""
    if since > _EPOCH:
        return since
    # The first prediction is in the window, and windows begin after their instant.
    return recorded.at[0] - timedelta(microseconds=1) if recorded.at else recorded.until


def _judge(
    store: Store,
    model: ModelRecord,
    recorded: RecordedWindow,
    settings: MonitorSettings,
    rng: np.random.Generator,
    budget: Budget,
) -> tuple[Reference | None, BaselineRecord | None, Judgement]:
    if model.reference_sha256 is None:
        judgement = no_verdict(
            Verdict.NOT_APPLICABLE,
            f"{model.name} has no reference to compare with. "
            f"Make one with `tidegate profile {model.name} --data TRAINING_DATA`, then serve again.",
        )
        return None, None, judgement
    try:
        reference, baseline = comparison(store, model)
    except (BadReference, NotFound) as error:
        return None, None, no_verdict(Verdict.FAILED, str(error))
    window = Window.of_record(reference, recorded)
    return reference, baseline, judge(reference, window, settings, rng, alert_alpha=budget.alpha)


def deserves_report(watched: PassResult) -> bool:
    """Whether a report of this pass says anything: it was judged."""
    return watched.reference is not None and watched.run.verdict in (Verdict.OK, Verdict.SHIFTED)
