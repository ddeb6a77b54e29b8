"""Between reading a window and writing what was decided of it another monitor may have written."""

from dataclasses import replace

import numpy as np

from monitor.passes.commit import commit
from monitor.passes.decide import decide
from monitor.passes.read import read_window
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from store.clock import utc_now
from store.repositories.alerts import AlertState
from store.store import Store
from tests.conftest import Population
from tests.monitor.passes.test_monitor_pass import MODEL, context_of, register, serve


def test_an_alert_that_another_monitor_has_fired_since_is_not_fired_twice(
    store: Store, reference: Reference, population: Population
) -> None:
    register(store, encode(reference))
    serve(store, reference, *population.strangers(200, np.random.default_rng(0)))
    context = context_of(store)
    monitor_pass = read_window(context, store.models.get(MODEL), utc_now())
    decision = decide(monitor_pass)
    decided = {change.alert.check for change in decision.alert_changes if change.is_transition}
    assert "flagged_share" in decided
    by_the_other = next(change.alert for change in decision.alert_changes if change.alert.check == "flagged_share")
    with store.writing() as transaction:
        store.runs.add(
            transaction,
            replace(decision.run, id=by_the_other.id, verdict=decision.run.verdict, until=monitor_pass.look.since),
        )
        store.alerts.save(transaction, replace(by_the_other, run_id=by_the_other.id))
    # The other's run stands for another window, and moves nothing.
    monitor_pass = replace(monitor_pass, judged_until=store.runs.last_judged_until(MODEL))
    result = commit(context, monitor_pass, decision)
    assert result is not None
    assert {event.check for event in result.events} == decided - {"flagged_share"}
    (alert,) = (alert for alert in store.alerts.all() if alert.check == "flagged_share")
    assert (alert.state, alert.last_seen) == (AlertState.FIRING, decision.run.at)
    assert alert.run_id == by_the_other.id


def test_a_window_that_another_monitor_has_judged_since_is_left_to_it(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    store = sqlite_store
    register(store, encode(reference))
    serve(store, reference, *population.strangers(200, np.random.default_rng(1)))
    context, model = context_of(store), store.models.get(MODEL)
    passes = [read_window(context, model, utc_now()) for _ in range(2)]
    first, second = (commit(context, monitor_pass, decide(monitor_pass)) for monitor_pass in passes)
    assert first is not None
    assert second is None
    assert [run.id for run in store.runs.recent()] == [first.run.id]
    assert {event.run_id for event in store.alerts.events()} == {first.run.id}
