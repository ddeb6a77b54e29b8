"""Retention, partitions, counters, backup, export, and the check of the record."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from store.database import migrate, partitions
from store.database.engine import Database
from store.errors import BadSettings
from store.maintenance.backup import back_up
from store.maintenance.export import export_predictions
from store.maintenance.fsck import examine, repair
from store.maintenance.retention import Retention
from store.recording.prediction_batch import PredictionBatch, PredictionRecord, RawInput
from store.settings import StoreSettings
from store.store import Store
from tests.store.records import MODEL, START, prediction, register

DAY = 86_400.0


def of_its_time(record: PredictionRecord) -> PredictionRecord:
    """The record with an id of its own time, as PostgreSQL partitions by id."""
    return replace(record, id=UUID(int=partitions.first_id(record.at).int | 7 << 76 | 2 << 62))


def test_tallies_add_up_whatever_they_are_rolled_up_to(store: Store) -> None:
    register(store)
    store.predictions.record(MODEL, [prediction(minute * 60.0, flagged=minute % 4 == 0) for minute in range(180)])
    before = store.counters.total(MODEL)
    assert (before.count, before.flagged_share, before.mean_confidence) == (180, 0.25, 0.75)
    assert store.counters.total(MODEL, START + timedelta(hours=2)).count == 60
    assert store.counters.roll_up(START + timedelta(days=5)) == 180
    assert store.counters.total(MODEL) == before
    assert store.counters.roll_up(START + timedelta(days=100)) == 3
    assert store.counters.total(MODEL) == before
    assert store.counters.roll_up(START + timedelta(days=100)) == 0
    # Late ones of a rolled up minute are added and rolled up in turn.
    store.predictions.record(MODEL, [prediction(30.0)])
    assert store.counters.total(MODEL).count == 181
    store.counters.roll_up(START + timedelta(days=100))
    assert store.counters.total(MODEL).count == 181


def test_a_repeated_batch_is_written_and_counted_once(store: Store) -> None:
    register(store)
    sent = PredictionBatch.from_bytes(PredictionBatch.of(MODEL, [prediction(second) for second in range(9)]).to_bytes())
    store.predictions.record_batches([sent, sent])
    store.predictions.record_batches([sent])
    assert store.predictions.count() == store.counters.total(MODEL).count == 9


def test_each_kind_of_record_is_forgotten_at_its_own_age(store: Store) -> None:
    register(store)
    raw = RawInput("image/png", b"x")
    ages = (500, 200, 50, 1)
    now = START + timedelta(days=1_000)
    sent = {age: of_its_time(prediction((1_000 - age) * DAY, raw=raw)) for age in ages}
    store.predictions.record(MODEL, list(sent.values()))
    forgotten = Retention(store.database).forget(now)
    assert forgotten.inputs == 3
    assert forgotten.predictions == 1
    assert store.predictions.get(sent[500].id) is None
    old, middle = store.predictions.get(sent[200].id), store.predictions.get(sent[50].id)
    assert old is not None
    assert middle is not None
    assert (old.embedding.size, old.raw_input, old.prediction) == (0, None, "a")
    assert (middle.embedding.size, middle.raw_input) == (3, None)
    newest = store.predictions.get(sent[1].id)
    assert newest is not None
    assert newest.raw_input == raw
    window = store.predictions.window(MODEL, START, now, max_rows=100, rng=np.random.default_rng(0))
    assert len(window.ids) == 2
    assert window.total == 3
    again = Retention(store.database).forget(now)
    assert (again.inputs, again.embeddings, again.predictions) == (0, 0, 0)


def test_a_model_may_have_ages_of_its_own(database_url: str) -> None:
    settings = StoreSettings(database=database_url, keep={"digits": {"predictions_days": 10}})
    store = Store(Database(settings))
    migrate.upgrade(store.database)
    register(store)
    store.predictions.record(MODEL, [of_its_time(prediction(0)), of_its_time(prediction(20 * DAY))])
    assert Retention(store.database).forget(START + timedelta(days=25)).predictions == 1
    store.close()
    with pytest.raises(ValueError, match="is no age"):
        StoreSettings(keep={"digits": {"photos_days": 10}})


def test_days_have_partitions_ahead_and_old_ones_are_dropped_whole(postgresql_url: str) -> None:
    store = Store(Database(StoreSettings(database=postgresql_url, keep_predictions_days=40)))
    migrate.upgrade(store.database)
    register(store)
    now = datetime.now(UTC)
    with store.writing() as session:
        names = partitions.partition_names(session.connection(), "predictions")
    today = f"predictions_{now:%Y%m%d}"
    assert today in names
    assert "predictions_default" in names
    assert len(names) >= partitions.DAYS_AHEAD + 2
    store.predictions.record(MODEL, [prediction(raw=RawInput("image/png", b"x"))])
    with store.writing() as session:
        where = "SELECT tableoid::regclass::text FROM predictions"
        assert session.scalar(text(where)) == today
    store.run_housekeeping(now + timedelta(days=60))
    with store.writing() as session:
        later = partitions.partition_names(session.connection(), "predictions")
    assert today not in later
    assert f"predictions_{now + timedelta(days=60):%Y%m%d}" in later
    assert store.predictions.count() == 0
    store.close()


def test_a_partition_made_late_takes_its_rows_out_of_the_default_one(postgresql_url: str) -> None:
    store = Store(Database(StoreSettings(database=postgresql_url)))
    migrate.upgrade(store.database)
    register(store)
    now = datetime.now(UTC)
    day = f"predictions_{now:%Y%m%d}"
    with store.writing() as session:
        session.execute(text(f'DROP TABLE "{day}"'))
    store.predictions.record(MODEL, [prediction(second) for second in range(5)])
    assert any("no day's partition" in finding.what for finding in examine(store.database))
    with store.writing() as session:
        assert day in partitions.make_ahead(session.connection(), now)
        assert session.scalar(text(f'SELECT count(*) FROM "{day}"')) == 5
    assert store.predictions.count() == 5
    assert list(examine(store.database)) == []
    store.close()


def test_a_database_in_use_is_migrated_without_losing_a_row(postgresql_url: str, tmp_path: Path) -> None:
    for url in (postgresql_url, f"sqlite:///{tmp_path / 'old.db'}"):
        store = Store(Database(StoreSettings(database=url)))
        migrate.upgrade(store.database)
        register(store)
        raw = RawInput("image/png", b"x")
        store.predictions.record(MODEL, [prediction(second, raw=raw) for second in range(50)])
        migrate.downgrade(store.database, "0004")
        with store.writing() as session:
            assert session.scalar(text("SELECT count(*) FROM predictions")) == 50
            assert session.scalar(text("SELECT count(*) FROM inputs")) == 50
        migrate.upgrade(store.database)
        assert store.predictions.count() == store.counters.total(MODEL).count == 50
        assert list(examine(store.database)) == []
        store.predictions.record(MODEL, [prediction(99)])
        assert store.counters.total(MODEL).count == 51
        store.close()


def test_a_backup_is_whole_while_the_record_is_written_to(sqlite_store: Store, tmp_path: Path) -> None:
    register(sqlite_store)
    sent = [prediction(second) for second in range(300)]
    sqlite_store.predictions.record(MODEL, sent)
    backup = back_up(sqlite_store.database, tmp_path / "copies" / "copy.db")
    sqlite_store.predictions.record(MODEL, [prediction(999)])
    assert backup.predictions == 300
    copy = Store.open(StoreSettings(database=f"sqlite:///{backup.file}"))
    assert copy.predictions.count() == 300
    assert list(examine(copy.database)) == []
    copy.close()
    with pytest.raises(BadSettings, match="exists already"):
        back_up(sqlite_store.database, backup.file)
    assert list((tmp_path / "copies").glob("*.part")) == []


def test_a_postgresql_is_backed_up_by_its_own_tools(postgresql_url: str, tmp_path: Path) -> None:
    database = Database(StoreSettings(database=postgresql_url))
    with pytest.raises(BadSettings, match="pg_dump"):
        back_up(database, tmp_path / "copy.db")
    database.close()


def test_the_record_goes_out_as_parquet_and_reads_back_the_same(store: Store, tmp_path: Path) -> None:
    register(store)
    sent = [prediction(second, flagged=None if second == 3 else second == 1) for second in range(10)]
    store.predictions.record(MODEL, sent)
    until = START + timedelta(seconds=8)
    rows = export_predictions(store.database, MODEL, START, until, tmp_path / "out" / "digits.parquet")
    table = pq.read_table(tmp_path / "out" / "digits.parquet")
    assert rows == len(table) == 8
    frame = table.to_pandas()
    assert list(frame["id"]) == [str(record.id) for record in sent[1:9]]
    assert list(frame["flagged"]) == [True, False, None, False, False, False, False, False]
    assert frame["tags"][0] == '{"site":"berlin"}'
    np.testing.assert_array_equal(frame["embedding"][0], np.array([0.5, -2.0, 3.25], np.float16))
    np.testing.assert_array_equal(frame["logits"][0], np.array([1.0, -1.0], np.float32))


def test_fsck_finds_what_is_wrong_and_mends_what_it_can(store: Store) -> None:
    register(store)
    store.predictions.record(MODEL, [prediction(second) for second in range(20)])
    assert list(examine(store.database)) == []
    with store.writing() as session:
        session.execute(text("UPDATE tallies SET count = 7"))
    (finding,) = examine(store.database)
    assert "has 20 predictions and 7 are counted" in finding.what
    assert repair(store.database) == ["counted the predictions of 1 models again"]
    assert list(examine(store.database)) == []
    with store.writing() as session:
        cut = "substr(embedding, 1, 7)" if store.database.is_sqlite else "substring(embedding from 1 for 7)"
        session.execute(text(f"UPDATE predictions SET embedding = {cut} WHERE at > '2026-03-01 12:00:15'"))
    assert any("different lengths" in finding.what for finding in examine(store.database))
