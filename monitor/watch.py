"""One pass of the monitor over one model: window, checks, alerts and the messages owed, in one transaction."""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from monitor.alerts.rules import next_alert
from monitor.judge import Judgement, judge, no_verdict
from monitor.reference import Reference
from monitor.reference_file import decode
from monitor.settings import MonitorSettings
from monitor.window import Window
from store import Store
from store.alerts import AlertEvent
from store.clock import new_id, utc_now
from store.errors import BadReference, NotFound, TidegateError
from store.models import ModelRecord
from store.predictions import RecordedWindow
from store.runs import RunRecord, Verdict

logger = logging.getLogger(__name__)

# A prediction gets its time just before its commit; by then every one with a time in the window is in the record.
SETTLE = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Watched:
    """What one pass found of one model, with all that a report of it is drawn from."""

    model: ModelRecord
    reference: Reference | None
    recorded: RecordedWindow
    run: RunRecord
    events: tuple[AlertEvent, ...]


def watch(
    store: Store,
    settings: MonitorSettings,
    now: Callable[[], datetime] = utc_now,
    settle: Callable[[float], None] = time.sleep,
) -> list[Watched]:
    """Look at every model once. A model that can't be looked at does not stop the others."""
    until = now()
    settle(SETTLE.total_seconds())
    found = []
    for model in store.models.all():
        try:
            watched = watch_model(store, model, settings, until)
        except TidegateError:
            logger.exception("%s could not be looked at; the next pass tries again", model.name)
            continue
        if watched is not None:
            found.append(watched)
    return found


def watch_model(store: Store, model: ModelRecord, settings: MonitorSettings, until: datetime) -> Watched | None:
    """Judge the window of one model that ends at `until`; None if another monitor has just judged it."""
    judged_until = store.runs.last_judged_until(model.sha256)
    since = _since(store, model, settings, judged_until, until)
    seed = f"{model.sha256}/{since.isoformat()}/{until.isoformat()}"
    rng = generator(seed)
    recorded = store.predictions.window(model.sha256, since, until, max_rows=settings.maximum_rows, rng=rng)
    reference, judgement = _judge(store, model, recorded, settings, rng)
    run = run_of(model, recorded, judgement, seed=seed, since=_start(recorded, since))
    if _says_nothing_new(store, run):
        return Watched(model, reference, recorded, run, ())
    with store.writing() as transaction:
        if store.runs.last_judged_until(model.sha256, transaction) != judged_until:
            logger.info("another monitor has judged %s in the meantime; this window is left to it", model.name)
            return None
        store.runs.add(transaction, run)
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
    logger.info("%s: %s (%s predictions) %s", model.name, run.verdict.value, run.count, run.sentence)
    return Watched(model, reference, recorded, run, tuple(events))


def run_of(
    model: ModelRecord, recorded: RecordedWindow, judgement: Judgement, *, seed: str, since: datetime
) -> RunRecord:
    """A new run: what was judged of which window, under which randomness."""
    return RunRecord(
        id=new_id(),
        model_sha256=model.sha256,
        reference_sha256=model.reference_sha256,
        at=utc_now(),
        since=since,
        until=recorded.until,
        count=recorded.total,
        flagged=recorded.flagged_total,
        verdict=judgement.verdict,
        sentence=judgement.sentence,
        seed=seed,
        results=judgement.results,
    )


def _says_nothing_new(store: Store, run: RunRecord) -> bool:
    """Whether this window got no verdict for the very reason and rows that the last one did: an idle model."""
    if run.verdict in (Verdict.OK, Verdict.SHIFTED):
        return False
    last = next(iter(store.runs.recent(run.model_sha256, limit=1)), None)
    return last is not None and (last.verdict, last.count, last.sentence) == (run.verdict, run.count, run.sentence)


def generator(seed: str) -> np.random.Generator:
    """The randomness of a window: the same window always gives the same numbers."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "little"))


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
    return recorded.at[0] if recorded.at else recorded.until


def _judge(
    store: Store, model: ModelRecord, recorded: RecordedWindow, settings: MonitorSettings, rng: np.random.Generator
) -> tuple[Reference | None, Judgement]:
    if model.reference_sha256 is None:
        return None, no_verdict(
            Verdict.NOT_APPLICABLE,
            f"{model.name} has no reference to compare with. "
            f"Make one with `tidegate profile {model.name} --data TRAINING_DATA`, then serve again.",
        )
    try:
        reference = decode(store.models.reference(model.reference_sha256))
    except (BadReference, NotFound) as error:
        return None, no_verdict(Verdict.FAILED, str(error))
    return reference, judge(reference, Window.of_record(recorded), settings, rng)


def worth_a_report(watched: Watched) -> bool:
    """Whether a report of this pass says anything: it was judged."""
    return watched.reference is not None and watched.run.verdict in (Verdict.OK, Verdict.SHIFTED)
