"""Baselines, and the alarms that are ranked among them, alike on every database."""

from datetime import timedelta

import pytest

from store.clock import new_id
from store.errors import NotFound
from store.repositories.alarms import AlarmRecord
from store.repositories.baselines import BaselineRecord, NewBaseline
from store.store import Store
from tests.store.records import MODEL, START, register


def pin(store: Store, name: str, content: bytes = b"rows", sha256: str = MODEL) -> BaselineRecord:
    with store.writing() as transaction:
        return store.baselines.pin(
            transaction,
            NewBaseline(
                model_sha256=sha256,
                name=name,
                since=START,
                until=START + timedelta(hours=1),
                count=3,
                content=content,
                certificate={"passed": True},
            ),
        )


def test_a_baseline_reads_back_the_latest_is_active_and_versions_follow(store: Store) -> None:
    register(store)
    first, second, other = pin(store, "calm"), pin(store, "calm", b"more"), pin(store, "autumn")
    assert (first.label, second.label, other.label) == ("calm v1", "calm v2", "autumn v1")
    assert store.baselines.active(MODEL) == other
    assert store.baselines.content(second.id) == b"more"
    with store.writing() as transaction:
        store.baselines.activate(transaction, first.id, MODEL)
    active = store.baselines.active(MODEL)
    assert active is not None
    assert (active.label, active.certificate) == ("calm v1", {"passed": True})
    with store.writing() as transaction:
        store.baselines.deactivate(transaction, MODEL)
    assert store.baselines.active(MODEL) is None
    with pytest.raises(NotFound):
        store.baselines.content(new_id())


def test_an_alarm_is_kept_as_it_last_was_until_it_is_forgotten(store: Store) -> None:
    register(store)
    for state in ("{}", '{"seen": 3}'):
        with store.writing() as transaction:
            store.alarms.save(transaction, AlarmRecord(MODEL, "ood_score", "b" * 64, state, START))
    assert store.alarms.of_model(MODEL) == {
        "ood_score": AlarmRecord(MODEL, "ood_score", "b" * 64, '{"seen": 3}', START)
    }
    with store.writing() as transaction:
        store.alarms.forget(transaction, MODEL)
    assert store.alarms.all() == []
