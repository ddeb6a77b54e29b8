"""The last step of a pass: what was decided is written in one transaction, with the messages that are owed."""

import logging

from monitor.alerts.rules import AlertChange, derive_alert_changes
from monitor.passes.decide import Decision
from monitor.passes.monitor_pass import MonitorPass, PassResult
from monitor.passes.pass_context import PassContext
from store.database.engine import Transaction
from store.repositories.alerts import AlertEvent, AlertState

logger = logging.getLogger(__name__)


def commit(context: PassContext, monitor_pass: MonitorPass, decision: Decision) -> PassResult | None:
    """Write a decision; None, and nothing written, where another monitor has judged the window since it was read.

    Raises:
        LeaseLost: another monitor has taken over; nothing was written.
        StoreUnavailable: the database does not answer; nothing was written.
    """
    events: tuple[AlertEvent, ...] | None = ()
    if decision.says_nothing_new:
        _keep_alarms(context, decision)
    else:
        events = _write(context, monitor_pass, decision)
    if events is None:
        return None
    look = monitor_pass.look
    return PassResult(look.model, look.reference, look.recorded, decision.run, events, decision.test, decision.groups)


def _keep_alarms(context: PassContext, decision: Decision) -> None:
    if decision.alarm_states:
        with context.store.writing() as transaction:
            context.fence(transaction)
            _save_alarms(context, transaction, decision)


def _write(context: PassContext, monitor_pass: MonitorPass, decision: Decision) -> tuple[AlertEvent, ...] | None:
    store, run, late = context.store, decision.run, monitor_pass.late
    name = monitor_pass.look.model.name
    with store.writing() as transaction:
        context.fence(transaction)
        if late is None and store.runs.last_judged_until(run.model_sha256, transaction) != monitor_pass.judged_until:
            logger.info("another monitor has judged %s in the meantime; this window is left to it", name)
            return None
        store.runs.add(transaction, run)
        if late is not None and not store.runs.replace(transaction, late.run.id, run.id):
            # Another monitor was faster.
            transaction.rollback()
            return None
        _save_alarms(context, transaction, decision)
        for group in decision.groups_to_save:
            store.groups.save(transaction, group)
        events = _write_alerts(context, transaction, monitor_pass, decision)
        if any(event.state is AlertState.FIRING for event in events):
            store.evidence.freeze(transaction, run.id, decision.evidence.to_json())
    if late is None:
        logger.info("%s: %s (%s predictions) %s", name, run.verdict.value, run.count, run.sentence)
    else:
        added = run.count - late.run.count
        logger.info("%s: the window until %s was judged again, with %+d predictions", name, late.run.until, added)
    return events


def _save_alarms(context: PassContext, transaction: Transaction, decision: Decision) -> None:
    for record in decision.alarm_states:
        context.store.alarms.save(transaction, record)


def _write_alerts(
    context: PassContext, transaction: Transaction, monitor_pass: MonitorPass, decision: Decision
) -> tuple[AlertEvent, ...]:
    """Write the changes of alerts, and what destinations are owed of them."""
    if not monitor_pass.raises_alerts:
        return ()
    store, events = context.store, []
    for change in _changes_of_locked_alerts(context, transaction, monitor_pass, decision):
        store.alerts.save(transaction, change.alert)
        if change.is_transition:
            event = store.alerts.add_event(transaction, change.alert, decision.run.at)
            store.deliveries.owe(transaction, event, context.settings.destinations)
            events.append(event)
    return tuple(events)


def _changes_of_locked_alerts(
    context: PassContext, transaction: Transaction, monitor_pass: MonitorPass, decision: Decision
) -> tuple[AlertChange, ...]:
    """The decided changes, or those that follow by the same rules from what another monitor has written since.

    From here on the alerts are locked, so that two monitors never both fire one.
    """
    locked = context.store.alerts.lock_of_model(transaction, decision.run.model_sha256)
    if locked == monitor_pass.alerts:
        return decision.alert_changes
    return derive_alert_changes(locked, decision.run)
