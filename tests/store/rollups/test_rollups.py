"""Rollups: added, rolled up and replaced, alike on every database."""

from datetime import timedelta

import numpy as np

from store.clock import new_id
from store.rollups.quantile_sketch import QuantileSketch
from store.rollups.rollups import Rollup, RollupKey
from store.store import Store
from tests.store.records import MODEL, START, register


def rollup(count: int, *, width: int = 2) -> Rollup:
    values = np.linspace(0, 1, count)
    features = np.full(width, float(count))
    return Rollup(count, count, 1, count, count / 2, QuantileSketch.of(values), QuantileSketch.of(values), features)


def save_rollups(store: Store, *rollups: tuple[RollupKey, Rollup]) -> None:
    with store.writing() as transaction:
        store.rollups.save(transaction, rollups)


def test_rollups_of_two_writers_lie_beside_each_other_and_each_replaces_its_own(store: Store) -> None:
    register(store)
    first, second = (RollupKey(MODEL, 60, START, "", "c" * 64, new_id()) for _ in range(2))
    for key, count in ((first, 1), (second, 5), (first, 3)):
        save_rollups(store, (key, rollup(count)))
    until = START + timedelta(minutes=1)
    rollups = store.rollups.between(MODEL, START, until)
    assert sorted((rollup.count, len(rollup.scores)) for _, rollup in rollups) == [(3, 3), (5, 5)]
    whole = store.rollups.sums(MODEL, START, until, "c" * 64)[""]
    assert (whole.count, whole.features[1]) == (8, 8.0)
    assert store.rollups.between(MODEL, START, START) == []
    assert store.rollups.sums(MODEL, START, until, "d" * 64) == {}
    assert store.rollups.counts(MODEL, START, until) == {START: 8}


def test_old_minutes_become_hours_and_old_hours_days_and_nothing_is_lost(store: Store) -> None:
    register(store)
    for minute in range(0, 150, 7):
        start = START + timedelta(minutes=minute)
        save_rollups(store, (RollupKey(MODEL, 60, start, "", "c" * 64, new_id()), rollup(10)))
        hour = RollupKey(MODEL, 3_600, START + timedelta(hours=minute // 60), "site=berlin", "c" * 64, new_id())
        save_rollups(store, (hour, rollup(4)))
    for days, widths in ((0.05, {60, 3_600}), (1, {3_600}), (90, {86_400})):
        store.rollups.roll_up(START + timedelta(days=days))
        day = START - timedelta(hours=12), START + timedelta(days=2)
        rollups = store.rollups.between(MODEL, *day)
        sums = store.rollups.sums(MODEL, *day, "c" * 64, ["", "site=berlin"])
        assert {name: (total.count, total.features[0]) for name, total in sums.items()} == {
            "": (220, 220.0),
            "site=berlin": (88, 88.0),
        }
        assert {name: total.count for name, total in store.rollups.by_slice(MODEL, *day).items()} == {"site=berlin": 88}
        assert sum(part.count for _, part in rollups) == 220
        assert sum(len(part.scores) for _, part in rollups) == 220
        slices = store.rollups.between(MODEL, *day, slice_="site=berlin")
        assert sum(part.count for _, part in slices) == 88
        assert {key.seconds for key, _ in (*rollups, *slices)} == widths
        # A second time finds nothing more to do.
        assert store.rollups.roll_up(START + timedelta(days=days)) == 0


def test_an_hour_is_replaced_whole(store: Store) -> None:
    register(store)
    until = START + timedelta(hours=2)
    for minute in (0, 59, 60):
        start = START + timedelta(minutes=minute)
        save_rollups(store, (RollupKey(MODEL, 60, start, "", "c" * 64, new_id()), rollup(10)))
    save_rollups(store, (RollupKey(MODEL, 3_600, START, "site=berlin", "c" * 64, new_id()), rollup(4)))
    with store.writing() as transaction:
        again = (RollupKey(MODEL, 60, START, "", "d" * 64, new_id()), rollup(3))
        store.rollups.replace(transaction, MODEL, START, [again])
    assert store.rollups.counts(MODEL, START, until) == {START: 3, START + timedelta(hours=1): 10}
    assert store.rollups.between(MODEL, START, until, slice_="site=berlin") == []
