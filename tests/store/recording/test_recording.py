"""Acknowledged means recorded: with the database there, away, slow, full, and back again."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from store.database import migrate
from store.database.engine import Database
from store.errors import StorageFull
from store.recording.prediction_batch import PredictionBatch
from store.settings import OnFull, StoreSettings
from store.store import Store
from tests.store.records import MODEL, prediction, register


def batch(rows: int = 2) -> PredictionBatch:
    return PredictionBatch.of(MODEL, [prediction(second) for second in range(rows)])


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def postgresql(postgresql_url: str, tmp_path: Path) -> Iterator[Store]:
    settings = StoreSettings(database=postgresql_url, spool=str(tmp_path / "spool"), record_seconds=0.5)
    store = Store(Database(settings))
    migrate.upgrade(store.database)
    register(store)
    store.recording.open()
    yield store
    store.close()


def lock_predictions(store: Store, release: threading.Event, held: threading.Event) -> None:
    with store.database.writing() as session:
        session.execute(text("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE"))
        held.set()
        release.wait(30)


def test_a_slow_database_is_not_waited_for_and_gets_every_row_once(postgresql: Store) -> None:
    release, held = threading.Event(), threading.Event()
    locker = threading.Thread(target=lock_predictions, args=(postgresql, release, held))
    locker.start()
    held.wait(10)
    slowest = 0.0
    for _ in range(5):
        began = time.monotonic()
        postgresql.recording.record([batch()])
        slowest = max(slowest, time.monotonic() - began)
    status = postgresql.recording.status()
    assert slowest < 2
    assert status.away is not None
    assert postgresql.recording.has_spool_room
    wait_for(lambda: "wait in the spool" in (postgresql.recording.status().warning or ""))
    release.set()
    locker.join()
    wait_for(lambda: postgresql.recording.status().away is None and not postgresql.recording.status().spool.rows)
    assert postgresql.predictions.count() == 10
    assert postgresql.counters.total(MODEL).count == 10
    # And it is written to directly again.
    postgresql.recording.record([batch()])
    assert postgresql.predictions.count() == 12


def test_what_waits_in_the_spool_survives_the_process(postgresql: Store) -> None:
    release, held = threading.Event(), threading.Event()
    locker = threading.Thread(target=lock_predictions, args=(postgresql, release, held))
    locker.start()
    held.wait(10)
    postgresql.recording.record([batch(7)])
    postgresql.recording.close()
    release.set()
    locker.join()
    again = Store(Database(postgresql.database.settings))
    again.recording.open()
    wait_for(lambda: again.recording.status().away is None and again.predictions.count() == 7)
    again.close()


def test_a_row_that_the_database_refuses_is_put_aside_and_holds_up_no_other(postgresql: Store) -> None:
    release, held = threading.Event(), threading.Event()
    locker = threading.Thread(target=lock_predictions, args=(postgresql, release, held))
    locker.start()
    held.wait(10)
    foreign = PredictionBatch.of("f" * 64, [prediction()])
    for sent in (batch(), foreign, batch()):
        postgresql.recording.record([sent])
    release.set()
    locker.join()
    wait_for(lambda: postgresql.predictions.count() == 4)
    wait_for(lambda: postgresql.recording.status().spool.put_aside == 1)
    assert "fsck" in (postgresql.recording.status().warning or "")


def test_without_room_predictions_are_refused_or_counted_as_the_operator_chose(tmp_path: Path) -> None:
    def full(on_full: OnFull) -> Store:
        url = f"sqlite:///{tmp_path / on_full.value}.db"
        store = Store.open(StoreSettings(database=url, on_full=on_full))
        store.recording.open()
        register(store)
        store.predictions.record(MODEL, [prediction()])
        with store.database.reading() as session:
            pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
        # The pool keeps one connection, which has the limit from now on.
        driver = store.database.engine.raw_connection()
        driver.execute(f"PRAGMA max_page_count = {pages}")
        driver.close()
        return store

    refusing = full(OnFull.REFUSE)
    with pytest.raises(StorageFull, match="disk of the database"):
        refusing.recording.record([batch(500)])
    assert refusing.predictions.count() == 1
    refusing.close()

    serving = full(OnFull.SERVE)
    serving.recording.record([batch(500)])
    assert serving.predictions.count() == 1
    assert serving.recording.status().unrecorded == 500
    assert "500 predictions were answered without being recorded" in (serving.recording.status().warning or "")
    serving.close()


WRITER = """
import resource, sys
from pathlib import Path
from store.settings import StoreSettings
from store.store import Store
from tests.store.records import MODEL, prediction
store = Store.open(StoreSettings(database=sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
for _ in range(12):
    sent = prediction()
    try:
        store.predictions.record(MODEL, [sent])
    except Exception:
        sys.exit(3)
    print(sent.id, flush=True)
"""


def test_whichever_write_fails_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    """Files may grow to n bytes and no further, n from next to nothing until a run passes clean."""
    failed = 0
    for limit in range(100_000, 2_000_000, 24_000):
        url = f"sqlite:///{tmp_path / f'{limit}.db'}"
        store = Store.open(StoreSettings(database=url))
        register(store)
        store.close()
        command = [sys.executable, "-c", WRITER, url, str(limit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        acknowledged = done.stdout.split()
        store = Store.open(StoreSettings(database=url))
        with store.database.reading() as session:
            connection = session.connection()
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
            stored = {str(row[0]) for row in connection.exec_driver_sql("SELECT id FROM predictions")}
        assert {id_.replace("-", "") for id_ in acknowledged} <= stored
        assert store.counters.total(MODEL).count == len(stored)
        # It goes on where there is room again.
        store.predictions.record(MODEL, [prediction()])
        store.close()
        assert done.returncode in (0, 3), done.stderr
        if done.returncode == 0:
            break
        failed += 1
    assert done.returncode == 0
    assert failed >= 2


def drainers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "drainer"]


def test_reading_a_status_opens_no_spool_and_starts_no_thread(postgresql_url: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    store = Store(Database(StoreSettings(database=postgresql_url, spool=str(spool))))
    status = store.recording.status()
    assert (status.spool.rows, status.maximum_bytes, status.warning) == (0, 2 * 1024**3, None)
    assert not store.recording.has_spool_room
    assert not spool.exists()
    assert drainers() == []
    store.recording.open()
    # Whoever opens it again has it open.
    store.recording.open()
    assert spool.exists()
    assert drainers() == ["drainer"]
    store.close()
    assert drainers() == []
    store.close()
    assert store.recording.status().away is None


def test_recording_before_it_is_opened_or_after_it_was_closed_is_a_clear_error(sqlite_store: Store) -> None:
    register(sqlite_store)
    with pytest.raises(RuntimeError, match=r"store\.recording\.open\(\)"):
        sqlite_store.recording.record([batch()])
    sqlite_store.recording.open()
    sqlite_store.recording.record([batch()])
    sqlite_store.recording.close()
    sqlite_store.recording.close()
    with pytest.raises(RuntimeError, match="Nothing was recorded"):
        sqlite_store.recording.record([batch()])
    assert sqlite_store.predictions.count() == 2
    sqlite_store.recording.open()
    sqlite_store.recording.record([batch()])
    assert sqlite_store.predictions.count() == 4
