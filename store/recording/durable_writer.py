"""Where answered predictions become durable: in the database, or in the spool while that is away or slow.

Invariants:

1. `record` returns after the predictions are on a disk, whichever it is; otherwise it raises, and nobody is answered.
2. A prediction reaches the database once: every way there leaves out ids that it holds already. So a write that came too
   late, and was spooled meanwhile, does no harm when it succeeds after all.
3. A batch leaves the spool after the database has committed it, never before.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field, replace

from store.database.engine import Database
from store.errors import StorageFull, StoreAway, StoreUnavailable
from store.recording.batches import PredictionBatch
from store.recording.bulk_insert import record_batches
from store.recording.spool import Spool, SpoolDepth, SpooledBatch, drainer_lock
from store.settings import OnFull

logger = logging.getLogger(__name__)

# Micro-batches that are brought to the database in one transaction.
_BATCHES_AT_ONCE = 64
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_SECONDS_BETWEEN_LOOKS = 0.5
# A spool that is as full as this is warned of.
_NEARLY_FULL = 0.5


@dataclass(frozen=True)
class RecordingStatus:
    """How recording goes: what waits in the spool, how fast it empties (predictions a second, 0 while it does not), why
    the database is not written to (None when it is), and how many predictions were answered without being recorded."""

    spool: SpoolDepth = field(default_factory=SpoolDepth)
    maximum_bytes: int = 0
    drained_per_second: float = 0.0
    away: str | None = None
    unrecorded: int = 0

    @property
    def spool_warning(self) -> str | None:
        """What somebody must do about the spool, if anything: a spool that just waits needs nobody."""
        told = []
        if self.spool.put_aside:
            told.append(
                f"{self.spool.put_aside:,} predictions in the spool can't be brought to the database: tidegate fsck."
            )
        if self.maximum_bytes and self.spool.bytes > _NEARLY_FULL * self.maximum_bytes:
            told.append(
                f"The spool is {self.spool.bytes / self.maximum_bytes:.0%} full. When it is full predictions are refused."
            )
        return " ".join(told) or None

    @property
    def warning(self) -> str | None:
        """What an operator should know, if anything."""
        told = [] if self.spool_warning is None else [self.spool_warning]
        if self.unrecorded:
            told.append(f"{self.unrecorded:,} predictions were answered without being recorded: there was no room.")
        if self.away is not None:
            told.append(
                f"The database is away since {self.spool.oldest_seconds:.0f} seconds; {self.spool.rows:,} predictions "
                f"wait in the spool."
            )
        elif self.spool.rows:
            told.append(
                f"The spool is being emptied: {self.spool.rows:,} predictions wait, {self.drained_per_second:,.0f} go a "
                "second."
            )
        return " ".join(told) or None


class DurableWriter:
    """Records predictions of every model of one process.

    A SQLite database is this machine's own disk already, so there is no spool before it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        settings = database.settings
        self._seconds = settings.record_seconds
        self._on_full = settings.on_full
        spools = not database.is_sqlite
        self._spool = Spool(settings.spool_file, settings.spool_bytes) if spools else None
        self._away: str | None = None
        self._state = RecordingStatus(maximum_bytes=settings.spool_bytes if spools else 0)
        self._count = threading.Lock()
        self._unrecorded = 0
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._writer = _writer()
        self._drainer: threading.Thread | None = None
        if self._spool is not None:
            self._drainer = threading.Thread(target=self._drain_all, name="drainer", daemon=True)
            self._drainer.start()

    def record(self, batches: Sequence[PredictionBatch]) -> None:
        """Make batches durable.

        Raises:
            StoreUnavailable: they are not, and must not be answered. With `on_full = "serve"` a full disk does not
                raise: the predictions are counted as unrecorded.
        """
        try:
            self._record(batches)
        except StorageFull:
            if self._on_full is OnFull.REFUSE:
                raise
            with self._count:
                self._unrecorded += sum(map(len, batches))

    def status(self) -> RecordingStatus:
        """How it goes, at most a second ago."""
        with self._count:
            return replace(self._state, away=self._away, unrecorded=self._unrecorded)

    @property
    def usable(self) -> bool:
        """Whether predictions can be made durable without the database."""
        return self._spool is not None and self._state.spool.bytes < self._state.maximum_bytes

    def close(self) -> None:
        """Stop; what waits in the spool waits for the next start."""
        self._stopped.set()
        self._wake.set()
        if self._drainer is not None:
            self._drainer.join(timeout=2 * self._seconds + 1)
        self._writer.shutdown(wait=False)
        if self._spool is not None:
            self._spool.close()

    def _record(self, batches: Sequence[PredictionBatch]) -> None:
        if self._spool is None:
            record_batches(self._database, batches)
            return
        if self._away is None:
            try:
                self._write_in_time(batches)
            except StoreAway as error:
                self._away = str(error.__cause__ or error)
                logger.warning("the database is away, predictions go to the spool: %s", self._away)
            else:
                return
        self._spool.append(batches)
        self._wake.set()

    def _write_in_time(self, batches: Sequence[PredictionBatch]) -> None:
        writing: Future[None] = self._writer.submit(record_batches, self._database, batches)
        try:
            writing.result(timeout=self._seconds)
        except NotYet:
            # Left alone with what it waits for; should it succeed, these rows are left out when they are drained.
            self._writer.shutdown(wait=False)
            self._writer = _writer()
            raise StoreAway(f"no commit within {self._seconds:g} seconds") from None

    def _drain_all(self) -> None:
        assert self._spool is not None
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopped.is_set():
            try:
                moved = self._drain_some()
            except StoreAway as error:
                self._away = self._away or str(error.__cause__ or error)
                self._look(0.0)
                self._stopped.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            except StoreUnavailable as error:
                # The disk of the one or of the other: full, or damaged.
                logger.warning("the spool can't be emptied now: %s", error)
                self._stopped.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            pause = _FIRST_PAUSE_SECONDS
            if not moved:
                self._look(0.0)
                self._wake.wait(_SECONDS_BETWEEN_LOOKS)
                self._wake.clear()

    def _drain_some(self) -> int:
        """Bring the oldest to the database and say how many predictions; none when the spool is empty."""
        assert self._spool is not None
        with drainer_lock(self._spool.path) as mine:
            waiting = self._spool.oldest(_BATCHES_AT_ONCE) if mine else []
            if not waiting:
                if self._away is not None:
                    self._database.ping()
                    self._is_back()
                return 0
            began = time.monotonic()
            self._bring(waiting)
            # The database answers: what comes now may go there at once, while the rest is being emptied.
            self._is_back()
            rows = sum(len(one.batch) for one in waiting)
            self._look(rows / max(time.monotonic() - began, 1e-6))
            return rows

    def _is_back(self) -> None:
        if self._away is not None:
            self._away = None
            logger.info("the database is back")

    def _bring(self, waiting: Sequence[SpooledBatch]) -> None:
        assert self._spool is not None
        try:
            record_batches(self._database, [one.batch for one in waiting])
        except (StoreAway, StorageFull):
            raise
        except StoreUnavailable as error:
            if len(waiting) == 1:
                # The database takes others and refuses this one: it must not hold up those behind it.
                self._spool.put_aside(waiting[0].number, str(error))
                return
            for one in waiting:
                self._bring([one])
            return
        self._spool.remove([one.number for one in waiting])

    def _look(self, rate: float) -> None:
        assert self._spool is not None
        try:
            depth = self._spool.depth()
        except StoreUnavailable:
            return
        with self._count:
            self._state = replace(self._state, spool=depth, drained_per_second=rate)


def _writer() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="write")
