"""The schema: up, down, never backwards by accident, and one at a time."""

import threading
import time
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from store.database import migrate
from store.database.engine import Database
from store.database.tables import Base
from store.errors import BadSettings, StoreUnavailable
from store.recording.prediction_batch import PredictionBatch, RawInput
from store.settings import StoreSettings
from store.store import Store
from tests.store.records import MODEL, prediction, register


def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database) -> None:
    migrate.upgrade(database)
    with database.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"include_name": migrate.is_described})
        assert compare_metadata(context, Base.metadata) == []


def test_up_down_and_up_again(database: Database) -> None:
    migrate.upgrade(database)
    migrate.downgrade(database, "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}
    assert migrate.upgrade(database) == migrate.current_revision(database) == migrate.head_revision()


def test_a_database_newer_than_the_code_is_refused_and_left_alone(database: Database) -> None:
    migrate.upgrade(database)
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreUnavailable, match="newer version made it"):
        migrate.ensure_current(database)
    with pytest.raises(StoreUnavailable, match="newer version made it"):
        migrate.upgrade(database)
    assert migrate.current_revision(database) == "9999"


def test_starters_that_come_together_migrate_once(database: Database) -> None:
    failures: list[Exception] = []

    def start() -> None:
        mine = Database(database.settings)
        try:
            migrate.upgrade(mine)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
            failures.append(error)
        finally:
            mine.close()

    starters = [threading.Thread(target=start) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert failures == []
    assert migrate.current_revision(database) == migrate.head_revision()


def test_an_embedded_file_is_migrated_by_itself_and_a_server_only_by_its_operator(
    tmp_path, postgresql_url: str
) -> None:
    Store.open(StoreSettings(database=f"sqlite:///{tmp_path / 'new.db'}")).close()
    with pytest.raises(StoreUnavailable, match="tidegate db upgrade"):
        Store.open(StoreSettings(database=postgresql_url))


@pytest.mark.parametrize("url", ["mysql://host/name", "not a url", "sqlite", "oracle://x/y"])
def test_a_url_of_no_known_database_is_refused(url: str) -> None:
    with pytest.raises(BadSettings):
        Database(StoreSettings(database=url))


def test_a_database_that_is_away_is_said_to_be(tmp_path) -> None:
    with pytest.raises(StoreUnavailable, match="did not answer"):
        Store.open(StoreSettings(database=f"postgresql://nobody@/none?host={tmp_path}"))


def test_a_file_that_is_no_database_is_said_to_be(tmp_path) -> None:
    (tmp_path / "letter.db").write_text("Dear reader, " * 500)
    with pytest.raises(StoreUnavailable):
        Store.open(StoreSettings(database=f"sqlite:///{tmp_path / 'letter.db'}"))


def test_a_migration_while_gateways_write_loses_nothing(database: Database) -> None:
    """Old gateways go on while an operator upgrades, and while the operator takes the upgrade back."""
    migrate.upgrade(database)
    migrate.downgrade(database, "0006")
    store = Store(database)
    register(store)
    acknowledged: list[UUID] = []
    failed: list[Exception] = []
    stopped = threading.Event()

    def write() -> None:
        while not stopped.is_set():
            batch = PredictionBatch.of(MODEL, [prediction(raw=RawInput("text/plain", b"x")) for _ in range(3)])
            try:
                store.predictions.record_batches([batch])
            except StoreUnavailable as error:
                failed.append(error)
            else:
                acknowledged.extend(batch.ids)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for thread in writers:
        thread.start()
    for _ in range(3):
        time.sleep(0.3)
        before = len(acknowledged)
        assert migrate.upgrade(database) == migrate.head_revision()
        time.sleep(0.3)
        assert len(acknowledged) > before
        migrate.downgrade(database, "0006")
    migrate.upgrade(database)
    stopped.set()
    for thread in writers:
        thread.join()
    assert failed == []
    assert len(acknowledged) > 100
    assert store.predictions.count() == len(acknowledged) == store.counters.total(MODEL).count
    assert len(store.predictions.raw_inputs(acknowledged)) == len(acknowledged)
