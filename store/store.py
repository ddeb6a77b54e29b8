"""The record: predictions, models, what the monitor found, alerts, reports. One repository per aggregate."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock

from store.database import migrate, partitions
from store.database.engine import Database, Transaction
from store.maintenance.retention import Forgotten, Retention
from store.recording.durable_writer import DurableWriter
from store.repositories.alarms import AlarmRepository
from store.repositories.alerts import AlertRepository
from store.repositories.baselines import BaselineRepository
from store.repositories.deliveries import DeliveryRepository
from store.repositories.evidence import EvidenceRepository
from store.repositories.groups import GroupRepository
from store.repositories.idempotency import IdempotencyRepository
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
        self._recording: DurableWriter | None = None
        self._lock = Lock()

    @classmethod
    def open(cls, settings: StoreSettings) -> "Store":
        """Open a database and see that its schema is of this version.

        Raises:
            StoreUnavailable: it can't be reached, is newer than this code, or needs `tidegate db upgrade`.
        """
        database = Database(settings)
        try:
            migrate.ensure_current(database)
            database.measure_clock()
        except BaseException:
            database.close()
            raise
        return cls(database)

    @property
    def recording(self) -> DurableWriter:
        """How predictions become durable here; made when it is first asked for, and closed with the store."""
        with self._lock:
            if self._recording is None:
                self._recording = DurableWriter(self.database)
            return self._recording

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """One transaction for several repositories; durable when this returns."""
        with self.database.writing() as session:
            yield session

    def run_housekeeping(self, now: datetime) -> Forgotten:
        """What every look of the monitor does for the record: make the coming days' partitions, add old tallies up,
        and forget what the policies say is too old.

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
        """Stop recording, and close every connection."""
        if self._recording is not None:
            self._recording.close()
        self.database.close()
