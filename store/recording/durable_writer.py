"""Where answered predictions become durable: in the database, or in the spool while the database is away or slow.

Invariants:

1. `record` returns after the predictions are on a disk, whichever it is; otherwise it raises, and nobody is answered.
2. A prediction reaches the database once: every way there leaves out ids that it holds already. So a write that came too
   late, and was spooled meanwhile, does no harm when it succeeds after all.
3. A batch leaves the spool after the database has committed it, never before.
4. Files and threads exist between `open` and `close` alone. Whoever serves or ingests opens and closes; a status can be
   read at any time.
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
from store.recording.bulk_insert import record_batches
from store.recording.prediction_batch import PredictionBatch
from store.recording.spool import Spool, SpoolDepth, SpooledBatch, drainer_lock
from store.settings import OnFull

logger = logging.getLogger(__name__)

# Micro-batches that are drained to the database in one transaction.
_BATCHES_AT_ONCE = 64
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_SECONDS_BETWEEN_DRAINS = 0.5
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
        sentences = []
        if self.spool.put_aside:
            sentences.append(
                f"{self.spool.put_aside:,} predictions in the spool can't be brought to the database: tidegate fsck."
            )
        if self.maximum_bytes and self.spool.bytes > _NEARLY_FULL * self.maximum_bytes:
            sentences.append(
                f"The spool is {self.spool.bytes / self.maximum_bytes:.0%} full. When it is full predictions are refused."
            )
        return " ".join(sentences) or None

    @property
    def warning(self) -> str | None:
        """What an operator should know, if anything."""
        sentences = [] if self.spool_warning is None else [self.spool_warning]
        if self.unrecorded:
            sentences.append(
                f"{self.unrecorded:,} predictions were answered without being recorded: there was no room."
            )
        if self.away is not None:
            sentences.append(
                f"The database is away since {self.spool.oldest_seconds:.0f} seconds; {self.spool.rows:,} predictions "
                f"wait in the spool."
            )
        elif self.spool.rows:
            sentences.append(
                f"The spool is being emptied: {self.spool.rows:,} predictions wait, {self.drained_per_second:,.0f} go a "
                "second."
            )
        return " ".join(sentences) or None


class DurableWriter:
    """Records predictions of every model of one process, between `open` and `close`.

    A SQLite database is this machine's own disk already, so there is no spool before it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        settings = database.settings
        self._commit_seconds = settings.record_seconds
        self._on_full = settings.on_full
        self._is_open = False
        self._spool: Spool | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._drainer: threading.Thread | None = None
        self._closing = threading.Event()
        self._wake = threading.Event()
        # Why the database is not written to; None while it is.
        self._away_reason: str | None = None
        self._status = RecordingStatus(maximum_bytes=0 if database.is_sqlite else settings.spool_bytes)
        self._status_lock = threading.Lock()
        self._unrecorded = 0

    def open(self) -> None:
        """Get ready to record: before PostgreSQL, open the spool and begin to drain what waits in it.

        Opening a writer that is open does nothing.

        Raises:
            StorageFull: the spool can't be opened.
        """
        if self._is_open:
            return
        if not self._database.is_sqlite:
            settings = self._database.settings
            self._spool = Spool(settings.spool_file, settings.spool_bytes)
            self._executor = _write_executor()
            # Of this opening alone: a drainer that outlives its `close` for a moment is not woken by the next `open`.
            self._closing = threading.Event()
            self._drainer = threading.Thread(
                target=self._drain, args=(self._spool, self._closing), name="drainer", daemon=True
            )
            self._drainer.start()
        self._is_open = True

    def close(self) -> None:
        """Stop; what waits in the spool waits for the next start. Closing a writer that is not open does nothing."""
        if not self._is_open:
            return
        self._is_open = False
        self._closing.set()
        self._wake.set()
        if self._drainer is not None:
            self._drainer.join(timeout=2 * self._commit_seconds + 1)
        if self._executor is not None:
            self._executor.shutdown(wait=False)
        if self._spool is not None:
            self._spool.close()
        self._drainer = self._executor = self._spool = None

    def record(self, batches: Sequence[PredictionBatch]) -> None:
        """Make batches durable.

        Raises:
            RuntimeError: the writer is not open.
            StoreUnavailable: they are not, and must not be answered. With `on_full = "serve"` a full disk does not
                raise: the predictions are counted as unrecorded.
        """
        if not self._is_open:
            raise RuntimeError(
                "Nothing was recorded, as recording is not open: whoever records calls `store.recording.open()` first, "
                "and `store.close()` at the end."
            )
        try:
            self._record(batches)
        except StorageFull:
            if self._on_full is OnFull.REFUSE:
                raise
            with self._status_lock:
                self._unrecorded += sum(map(len, batches))

    def status(self) -> RecordingStatus:
        """How recording goes, at most a second ago. Reading it opens nothing: before `open` nothing is known to wait."""
        with self._status_lock:
            return replace(self._status, away=self._away_reason, unrecorded=self._unrecorded)

    @property
    def has_spool_room(self) -> bool:
        """Whether predictions can be made durable without the database."""
        return self._spool is not None and self._status.spool.bytes < self._status.maximum_bytes

    def _record(self, batches: Sequence[PredictionBatch]) -> None:
        spool = self._spool
        if spool is None:
            record_batches(self._database, batches)
            return
        if self._away_reason is None:
            try:
                self._write_in_time(batches)
            except StoreAway as error:
                self._away_reason = str(error.__cause__ or error)
                logger.warning("the database is away, predictions go to the spool: %s", self._away_reason)
            else:
                return
        spool.append(batches)
        self._wake.set()

    def _write_in_time(self, batches: Sequence[PredictionBatch]) -> None:
        executor = self._executor
        assert executor is not None
        writing: Future[None] = executor.submit(record_batches, self._database, batches)
        try:
            writing.result(timeout=self._commit_seconds)
        except NotYet:
            # Left alone with what it waits for; should it succeed, these rows are left out when they are drained.
            executor.shutdown(wait=False)
            self._executor = _write_executor()
            raise StoreAway(f"no commit within {self._commit_seconds:g} seconds") from None

    def _drain(self, spool: Spool, closing: threading.Event) -> None:
        """Bring what waits to the database, until the writer is closed."""
        pause = _FIRST_PAUSE_SECONDS
        while not closing.is_set():
            try:
                drained = self._drain_oldest(spool)
            except StoreAway as error:
                self._away_reason = self._away_reason or str(error.__cause__ or error)
                self._update_status(spool, drained_per_second=0.0)
                closing.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            except StoreUnavailable as error:
                # The disk of the one or of the other: full, or damaged.
                logger.warning("the spool can't be emptied now: %s", error)
                closing.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            pause = _FIRST_PAUSE_SECONDS
            if not drained:
                self._update_status(spool, drained_per_second=0.0)
                self._wake.wait(_SECONDS_BETWEEN_DRAINS)
                self._wake.clear()

    def _drain_oldest(self, spool: Spool) -> int:
        """Bring the oldest batches to the database and count their predictions; 0 when the spool is empty."""
        with drainer_lock(spool.path) as is_drainer:
            waiting = spool.oldest(_BATCHES_AT_ONCE) if is_drainer else []
            if not waiting:
                if self._away_reason is not None:
                    self._database.ping()
                    self._note_database_is_back()
                return 0
            began = time.monotonic()
            self._write_waiting(spool, waiting)
            # The database answers: what comes now may go there at once, while the rest is being emptied.
            self._note_database_is_back()
            rows = sum(len(spooled.batch) for spooled in waiting)
            self._update_status(spool, drained_per_second=rows / max(time.monotonic() - began, 1e-6))
            return rows

    def _note_database_is_back(self) -> None:
        if self._away_reason is not None:
            self._away_reason = None
            logger.info("the database is back")

    def _write_waiting(self, spool: Spool, waiting: Sequence[SpooledBatch]) -> None:
        try:
            record_batches(self._database, [spooled.batch for spooled in waiting])
        except (StoreAway, StorageFull):
            raise
        except StoreUnavailable as error:
            if len(waiting) == 1:
                # The database takes others and refuses this one: it must not hold up those behind it.
                spool.put_aside(waiting[0].number, str(error))
                return
            for spooled in waiting:
                self._write_waiting(spool, [spooled])
            return
        spool.remove([spooled.number for spooled in waiting])

    def _update_status(self, spool: Spool, *, drained_per_second: float) -> None:
        try:
            depth = spool.depth()
        except StoreUnavailable:
            return
        with self._status_lock:
            self._status = replace(self._status, spool=depth, drained_per_second=drained_per_second)


def _write_executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="write")
