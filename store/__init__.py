"""The record: predictions, models, what the monitor found, alerts, reports. One repository per aggregate."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock

from sqlalchemy.orm import Session as Transaction

from store import migrate, partitions
from store.alarms import AlarmRepository
from store.alerts import AlertRepository
from store.baselines import BaselineRepository
from store.deliveries import DeliveryRepository
from store.engine import Database
from store.evidence import EvidenceRepository
from store.groups import GroupRepository
from store.idempotency import IdempotencyRepository
from store.jobs import JobRepository
from store.late import LateRepository
from store.models import ModelRepository
from store.notices import NoticeRepository
from store.predictions import PredictionRepository
from store.processes import ProcessRepository
from store.recording import Recorded, Recording
from store.reports import ReportRepository
from store.retention import Forgotten, Retention
from store.rollups import RollupRepository
from store.runs import RunRepository
from store.settings import StoreSettings
from store.tallies import TallyRepository


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
        self.notices = NoticeRepository(database)
        self.jobs = JobRepository(database)
        self.late = LateRepository(database)
        self.tallies = TallyRepository(database)
        self._recording: Recording | None = None
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
    def recording(self) -> Recording:
        """How predictions become durable here; made when it is first asked for, and closed with the store."""
        with self._lock:
            if self._recording is None:
                self._recording = Recording(self.database, self.predictions)
            return self._recording

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """One transaction for several repositories; durable when this returns."""
        with self.database.writing() as session:
            yield session

    def keep_house(self, now: datetime) -> Forgotten:
        """What every look of the monitor does for the record: make the coming days' partitions, add old tallies up,
        and forget what the policies say is too old.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if not self.database.is_sqlite:
            with self.writing() as session:
                partitions.make_ahead(session.connection(), now)
        self.tallies.roll_up(now)
        self.rollups.roll_up(now)
        self.idempotency.forget_before(now - timedelta(days=1))
        self.jobs.forget_before(now - timedelta(days=30))
        return Retention(self.database).forget(now)

    def close(self) -> None:
        """Stop recording, and close every connection."""
        if self._recording is not None:
            self._recording.close()
        self.database.close()


__all__ = ["Database", "Recorded", "Store", "StoreSettings", "Transaction"]
