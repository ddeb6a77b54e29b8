"""The record of one installation: predictions, models, runs, alerts and reports, one repository for each."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from store.database import migrate, partitions
from store.database.engine import Database, Transaction
from store.maintenance.retention import Forgotten, Retention
from store.recording.durable_writer import DurableWriter
from store.repositories.alarms import AlarmRepository
from store.repositories.alerts import AlertRepository
from store.repositories.baselines import BaselineRepository
from store.repositories.deliveries import DeliveryRepository
from store.repositories.evidence import EvidenceRepository
from store.repositories.idempotency import IdempotencyRepository
from store.repositories.input_groups import GroupRepository
from store.repositories.jobs import JobRepository
from store.repositories.late_arrivals import LateArrivalRepository
from store.repositories.models import ModelRepository
from store.repositories.predictions import PredictionRepository
from store.repositories.processes import ProcessRepository
from store.repositories.reports import ReportRepository
from store.repositories.runs import RunRepository
from store.repositories.system_alerts import SystemAlertRepository
from store.rollups.counters import CounterRepository
from store.rollups.rollups import RollupRepository
from store.settings import StoreSettings


class Store:
    """All repositories of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.models = ModelRepository(database)
        self.predictions = PredictionRepository(database)
        self.runs = RunRepository(database)
        self.alerts = AlertRepository(database)
        self.deliveries = DeliveryRepository(database)
        self.reports = ReportRepository(database)
        self.baselines = BaselineRepository(database)
        self.alarms = AlarmRepository(database)
        self.rollups = RollupRepository(database)
        self.evidence = EvidenceRepository(database)
        self.groups = GroupRepository(database)
        self.idempotency = IdempotencyRepository(database)
        self.processes = ProcessRepository(database)
        self.system_alerts = SystemAlertRepository(database)
        self.jobs = JobRepository(database)
        self.late_arrivals = LateArrivalRepository(database)
        self.counters = CounterRepository(database)
        # Closed until whoever serves or ingests opens it, so that a page or a verb that only reads starts nothing.
        self.recording = DurableWriter(database)

    @classmethod
    def open(cls, settings: StoreSettings, *, make: bool = True) -> "Store":
        """Open a database and see that its schema is of this version.

        Args:
            settings: where it is.
            make: make a SQLite file that is not there; without it, whoever only reads gets an error in place of an empty
                record.

        Raises:
            NotFound: there is no such SQLite file, and `make` is false.
            StoreUnavailable: it can't be reached, is newer than this code, or needs `tidegate db upgrade`.
        """
        database = Database(settings)
        if not make:
            database.check_existing()
        try:
            migrate.ensure_current(database)
            database.measure_clock()
        except BaseException:
            database.close()
            raise
        return cls(database)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """One transaction for several repositories; durable when this returns."""
        with self.database.writing() as session:
            yield session

    def run_housekeeping(self, now: datetime) -> Forgotten:
        """Make the coming days' partitions, roll up old counters, and forget what is too old by the policies.

        The monitor calls it when a look is over.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if not self.database.is_sqlite:
            with self.writing() as session:
                partitions.make_ahead(session.connection(), now)
        self.counters.roll_up(now)
        self.rollups.roll_up(now)
        self.idempotency.forget_before(now - timedelta(days=1))
        self.jobs.forget_before(now - timedelta(days=30))
        return Retention(self.database).forget(now)

    def close(self) -> None:
        """Stop recording, and close every connection. Closing twice does nothing more."""
        self.recording.close()
        self.database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
