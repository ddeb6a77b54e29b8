"""A local file that holds predictions while the database is away: durable before anyone is answered, drained in order.

It is SQLite with `synchronous = FULL`, one row for each micro-batch, with its checksum. Gateways of one machine share it.
A batch that can't be read back is quarantined (moved to the table `put_aside`) and counted; a file that is no database
any more is renamed, and a new one begun. Neither keeps a gateway from starting.
"""

import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.database.engine import sqlite_module, wal_is_safe
from store.errors import DamagedRecord, StorageFull, StoreUnavailable
from store.recording.prediction_batch import PredictionBatch

logger = logging.getLogger(__name__)

_TABLES = """
CREATE TABLE IF NOT EXISTS spooled (
    number INTEGER PRIMARY KEY AUTOINCREMENT, written REAL NOT NULL, rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS put_aside (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, reason TEXT NOT NULL, rows INTEGER NOT NULL, content BLOB NOT NULL);
"""


@dataclass(frozen=True)
class SpoolDepth:
    """What waits in a spool: predictions, their bytes, the age of the oldest in seconds; and predictions in quarantine."""

    rows: int = 0
    bytes: int = 0
    oldest_seconds: float = 0.0
    put_aside: int = 0


@dataclass(frozen=True)
class SpooledBatch:
    """One micro-batch that waits, and its number in the spool."""

    number: int
    batch: PredictionBatch


class Spool:
    """The spool of one machine.

    Args:
        path: of its file, which is made where it is missing.
        maximum_bytes: how many bytes of batches may wait.

    Raises:
        StorageFull: the file can't be opened or made.
    """

    def __init__(self, path: Path, maximum_bytes: int) -> None:
        self.path = path
        self.maximum_bytes = maximum_bytes
        self._module: Any = sqlite_module()
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._open()
        except (sqlite3.DatabaseError, self._module.DatabaseError) as error:
            if _is_full(error) or isinstance(error, sqlite3.OperationalError | self._module.OperationalError):
                raise _storage_full(path, error) from error
            self._quarantine_file(error)
            self._connection = self._open()

    def append(self, batches: Sequence[PredictionBatch]) -> None:
        """Write micro-batches in one transaction; durable when this returns.

        Raises:
            StorageFull: the bound is reached or the disk is full; nothing was written.
            StoreUnavailable: the file can't be written.
        """
        contents = [(len(batch), batch.to_bytes()) for batch in batches]
        with self._writing() as connection:
            waiting_bytes = connection.execute("SELECT coalesce(sum(bytes), 0) FROM spooled").fetchone()[0]
            new_bytes = sum(len(content) for _, content in contents)
            if waiting_bytes + new_bytes > self.maximum_bytes:
                raise StorageFull(
                    f"The database is away, and the spool {self.path} holds {waiting_bytes:,} of at most "
                    f"{self.maximum_bytes:,} bytes. Nothing was recorded. Bring the database back: the spool then "
                    "empties itself."
                )
            connection.executemany(
                "INSERT INTO spooled (written, rows, bytes, sha256, content) VALUES (?, ?, ?, ?, ?)",
                [
                    (time.time(), rows, len(content), hashlib.sha256(content).digest(), content)
                    for rows, content in contents
                ],
            )

    def oldest(self, limit: int) -> list[SpooledBatch]:
        """The micro-batches that have waited longest, at most `limit`. Those that can't be read are quarantined.

        Raises:
            StoreUnavailable: the file can't be read.
        """
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT number, sha256, content FROM spooled ORDER BY number LIMIT ?", (limit,)
            ).fetchall()
        waiting = []
        for number, sha256, content in rows:
            try:
                if hashlib.sha256(content).digest() != sha256:
                    raise DamagedRecord("A batch of predictions in the spool does not match its checksum.")
                waiting.append(SpooledBatch(number, PredictionBatch.from_bytes(content)))
            except DamagedRecord as error:
                self.put_aside(number, str(error))
        return waiting

    def remove(self, numbers: Sequence[int]) -> None:
        """Delete micro-batches that the database has committed."""
        with self._writing() as connection:
            connection.executemany("DELETE FROM spooled WHERE number = ?", [(number,) for number in numbers])

    def put_aside(self, number: int, reason: str) -> None:
        """Quarantine a micro-batch: take it out of the queue and keep it, with the reason."""
        logger.error("a batch in the spool %s was put aside: %s", self.path, reason)
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO put_aside SELECT number, ?, ?, rows, content FROM spooled WHERE number = ?",
                (time.time(), reason, number),
            )
            connection.execute("DELETE FROM spooled WHERE number = ?", (number,))

    def put_back(self) -> int:
        """Put quarantined batches back into the queue, as after their cause was mended, and return how many."""
        with self._writing() as connection:
            rows = connection.execute("SELECT number, rows, content FROM put_aside").fetchall()
            for number, count, content in rows:
                connection.execute(
                    "INSERT INTO spooled (written, rows, bytes, sha256, content) VALUES (?, ?, ?, ?, ?)",
                    (time.time(), count, len(content), hashlib.sha256(content).digest(), content),
                )
                connection.execute("DELETE FROM put_aside WHERE number = ?", (number,))
        return len(rows)

    def depth(self) -> SpoolDepth:
        """Measure how much waits, and how much is in quarantine."""
        with self._reading() as connection:
            rows, size, oldest = connection.execute(
                "SELECT coalesce(sum(rows), 0), coalesce(sum(bytes), 0), min(written) FROM spooled"
            ).fetchone()
            quarantined_rows = connection.execute("SELECT coalesce(sum(rows), 0) FROM put_aside").fetchone()[0]
        return SpoolDepth(rows, size, 0.0 if oldest is None else max(time.time() - oldest, 0.0), quarantined_rows)

    def problems(self) -> list[str]:
        """List what is wrong with the file and its rows; nothing is changed."""
        problems = []
        with self._reading() as connection:
            problems += [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
            for number, sha256, content in connection.execute("SELECT number, sha256, content FROM spooled"):
                if hashlib.sha256(content).digest() != sha256:
                    problems.append(f"batch {number} does not match its checksum")
        return problems

    def close(self) -> None:
        """Close the file."""
        with self._lock, suppress(self._module.Error):
            self._connection.close()

    def _open(self) -> Any:
        connection = self._module.connect(str(self.path), timeout=10.0, isolation_level=None, check_same_thread=False)
        try:
            is_wal_safe = wal_is_safe(self._module.sqlite_version_info)
            connection.execute(f"PRAGMA journal_mode = {'wal' if is_wal_safe else 'delete'}").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            # Space of deleted batches is given back to the disk.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.executescript(_TABLES)
        except BaseException:
            connection.close()
            raise
        return connection

    def _quarantine_file(self, error: Exception) -> None:
        damaged = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        logger.error("the spool %s is damaged (%s): it is set aside as %s", self.path, error, damaged.name)
        self.path.replace(damaged)
        for ending in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{ending}").replace(f"{damaged}{ending}")

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        with self._lock, self._store_errors():
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        with self._lock, self._store_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # Where the disk is full SQLite may have ended the transaction itself.
                with suppress(self._module.Error):
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        try:
            yield
        except self._module.Error as error:
            if _is_full(error):
                raise _storage_full(self.path, error) from error
            raise StoreUnavailable(
                f"The spool {self.path} can't be used: {error}. Nothing was recorded. `tidegate fsck` says what is wrong."
            ) from error


def damaged_files(path: Path) -> list[Path]:
    """Spools of this name that were damaged and renamed, oldest first."""
    files = path.parent.glob(f"{path.name}.damaged-*")
    return sorted(file for file in files if not file.name.endswith(("-wal", "-shm")))


@contextmanager
def drainer_lock(path: Path) -> Iterator[bool]:
    """Try to become the one process of this machine that drains the spool; gives whether it is. When the process ends,
    however it ends, the operating system frees the lock."""
    import fcntl

    with Path(f"{path}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def _is_full(error: Exception) -> bool:
    return "disk is full" in str(error) or isinstance(error.__cause__, OSError)


def _storage_full(path: Path, error: Exception) -> StorageFull:
    return StorageFull(
        f"The spool {path} can't be written: {error}. Nothing was recorded. Make room on its disk, or name another "
        f"folder with TIDEGATE_STORE__SPOOL; what comes then is recorded again."
    )
