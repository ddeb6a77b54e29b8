"""Leases: who works at what, who takes over, and who is stopped at the fence."""

import time
from datetime import UTC, datetime

import pytest

from store.errors import LeaseLost
from store.repositories.jobs import JobRepository
from store.store import Store

DUE = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_due_time_is_taken_by_one_and_done_once(store: Store) -> None:
    lease = store.jobs.take("look", DUE)
    assert lease is not None
    assert JobRepository(store.database).take("look", DUE) is None
    with lease.held():
        pass
    assert store.jobs.take("look", DUE) is None
    last = store.jobs.last("look")
    assert last is not None
    assert last.done_at is not None


def test_a_lost_lease_is_taken_over_and_its_first_holder_writes_nothing(store: Store) -> None:
    frozen = store.jobs.take("look", DUE, seconds=0.5)
    assert frozen is not None
    assert store.jobs.unfinished("look") is None
    until = time.monotonic() + 20
    while store.jobs.unfinished("look") is None and time.monotonic() < until:
        time.sleep(0.02)
    assert store.jobs.unfinished("look") == DUE
    heir = JobRepository(store.database, "heir").take("look", DUE)
    assert heir is not None
    with pytest.raises(LeaseLost), store.writing() as transaction:
        frozen.fence(transaction)
    with store.writing() as transaction:
        heir.fence(transaction)
    # The frozen one can't end it either.
    store.jobs.mark_done(frozen.job, frozen.due_at, frozen.token)
    last = store.jobs.last("look")
    assert last is not None
    assert (last.holder, last.done_at) == ("heir", None)


def test_a_lease_is_renewed_while_its_work_lasts(store: Store) -> None:
    lease = store.jobs.take("look", DUE, seconds=0.6)
    assert lease is not None
    with lease.held():
        time.sleep(1.0)
        assert JobRepository(store.database).take("look", DUE) is None


def test_what_fails_again_and_again_is_given_up(store: Store) -> None:
    for _ in range(3):
        lease = store.jobs.take("look", DUE, seconds=0.02)
        assert lease is not None
        with pytest.raises(RuntimeError), lease.held():
            raise RuntimeError("it fails")
        time.sleep(0.05)
    assert store.jobs.take("look", DUE) is None
    assert store.jobs.unfinished("look") is None
