"""Alerts and the messages owed for them, alike on every database."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from store.clock import new_id
from store.errors import StoreUnavailable
from store.repositories.alerts import AlertRecord, AlertState
from store.repositories.deliveries import DeliveryState
from store.repositories.runs import Verdict
from store.store import Store
from tests.store.records import MODEL, START, register, run_record


def firing(store: Store, destinations: Sequence[str] = ("log",)) -> UUID:
    run = run_record(START, Verdict.SHIFTED)
    alert = AlertRecord(new_id(), MODEL, "flagged_share", AlertState.FIRING, START, START, run.id, "said")
    with store.writing() as transaction:
        store.runs.add(transaction, run)
        store.alerts.save(transaction, alert)
        event = store.alerts.add_event(transaction, alert, START)
        store.deliveries.owe(transaction, event, destinations)
    return event.id


def test_a_change_of_state_and_its_message_are_written_together_or_not_at_all(store: Store) -> None:
    register(store)
    run = run_record(START, Verdict.SHIFTED)
    alert = AlertRecord(new_id(), MODEL, "flagged_share", AlertState.FIRING, START, START, run.id, "said")

    def write_and_die() -> None:
        with store.writing() as transaction:
            store.runs.add(transaction, run)
            store.alerts.save(transaction, alert)
            store.deliveries.owe(transaction, store.alerts.add_event(transaction, alert, START), ["log"])
            raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        write_and_die()
    assert store.alerts.all() == []
    assert store.deliveries.due(START + timedelta(days=1)) == []


def test_there_is_one_alert_per_model_and_check(store: Store) -> None:
    register(store)
    firing(store)
    with pytest.raises(StoreUnavailable):
        firing(store)
    assert len(store.alerts.all(AlertState.FIRING)) == 1


def test_a_message_is_due_until_it_is_sent_or_given_up(store: Store) -> None:
    register(store)
    event = firing(store, ["log", "https://example.org/hook"])
    log, hook = sorted(store.deliveries.due(START), key=lambda delivery: delivery.destination, reverse=True)
    assert {log.event.id, hook.event.id} == {event}
    store.deliveries.mark_sent(log.id)
    store.deliveries.retry(hook.id, "answered 500", START + timedelta(seconds=10))
    assert store.deliveries.due(START) == []
    (later,) = store.deliveries.due(START + timedelta(seconds=10))
    assert (later.id, later.attempts) == (hook.id, 1)
    store.deliveries.give_up(hook.id, "answered 410")
    assert store.deliveries.counts() == {DeliveryState.PENDING: 0, DeliveryState.SENT: 1, DeliveryState.DEAD: 1}


def test_two_monitors_never_hold_the_same_message(store: Store) -> None:
    register(store)
    firing(store)
    (delivery,) = store.deliveries.due(START)
    assert store.deliveries.claim(delivery, START + timedelta(minutes=2))
    assert not store.deliveries.claim(delivery, START + timedelta(minutes=2))
    # The holder died: the message is due again, under the same id.
    (again,) = store.deliveries.due(START + timedelta(minutes=2))
    assert again.event.id == delivery.event.id
