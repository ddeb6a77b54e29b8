"""Connections to SQLite and PostgreSQL, with the guarantees that the record needs."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from store.clock import steady_seconds, utc_now
from store.errors import BadSettings, NotFound, StorageFull, StoreAway, StoreUnavailable
from store.settings import StoreSettings

logger = logging.getLogger(__name__)

# What a caller who writes with several repositories at once passes to each.
Transaction = Session

_WRITES = "tidegate_writes"


def wal_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite is free of the WAL-reset bug, which can lose commits when two connections checkpoint at once.

    The bug is in 3.7.0 to 3.51.2. It is fixed in 3.51.3 and in the releases 3.50.7 and 3.44.6 of the older branches.
    """
    if version >= (3, 51, 3):
        return True
    return version[:2] in ((3, 50), (3, 44)) and version[2] >= {50: 7, 44: 6}[version[1]]


def sqlite_module() -> ModuleType:
    """The DB-API module for SQLite: pysqlite3, which carries a fixed SQLite, else Python's own."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        import sqlite3 as dbapi2
    module: ModuleType = dbapi2
    return module


class Database:
    """One database. `reading()` and `writing()` each give a session in a transaction of its own.

    Raises:
        BadSettings: the URL can't be understood.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self.url = _parse_url(settings.database)
        # An instant by the database's clock, and `steady_seconds` at that instant.
        self._clock_reading: tuple[datetime, float] | None = None
        self.engine = _sqlite_engine(self.url, settings) if self.is_sqlite else _postgresql_engine(self.url)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def label(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for PostgreSQL, and for SQLite in memory or behind a URI."""
        name = self.url.database
        if not self.is_sqlite or not name or name == ":memory:" or name.startswith("file:"):
            return None
        return Path(name).absolute()

    @property
    def url_to_share(self) -> str | None:
        """The URL by which other processes reach it from any folder; None where it would show a password, or is of this
        process alone."""
        if self.is_sqlite:
            shared = None if self.file is None else self.url.set(database=str(self.file))
        else:
            is_secret = self.url.password is not None or any("password" in option for option in self.url.query)
            shared = None if is_secret else self.url.set(drivername="postgresql")
        return None if shared is None else shared.render_as_string(hide_password=False)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads."""
        with self._connected({}) as connection, Session(connection, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that writes; committed at the end, durable when this returns, rolled back on an exception."""
        with self._connected({_WRITES: True}) as connection, Session(connection, expire_on_commit=False) as session:
            yield session
            session.commit()

    def repeat_in_transactions(self, step: Callable[[Session], int]) -> int:
        """Repeat a step until it changes no more rows, each time in a transaction of its own, so that no gateway waits long.

        Args:
            step: changes some rows and returns how many.

        Returns:
            How many rows were changed in all.
        """
        total = 0
        while True:
            with self.writing() as session:
                changed = step(session)
            if not changed:
                return total
            total += changed

    @contextmanager
    def writing_rows(self) -> Iterator[Connection]:
        """A connection that writes, like `writing` but without the object-relational layer, which costs more than writing
        a small batch of rows."""
        with self._connected({_WRITES: True}) as connection, connection.begin():
            yield connection

    def utc_now(self) -> datetime:
        """The present instant by the database's clock, counted on from the last call of `measure_clock`.

        So gateways and monitors on machines whose clocks differ agree on what was predicted when, and a machine's clock
        that is set meanwhile changes nothing. SQLite has no clock of its own: there it is this machine's.
        """
        if self._clock_reading is None:
            return utc_now()
        instant, read_at = self._clock_reading
        return instant + timedelta(seconds=steady_seconds() - read_at)

    def measure_clock(self) -> timedelta:
        """Measure how far the database's clock is ahead of this machine's, and set `utc_now` by it.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if self.is_sqlite:
            return timedelta()
        with self.reading() as session:
            # The first question waits for a connection too.
            session.execute(text("SELECT 1"))
            began, local_instant = steady_seconds(), utc_now()
            database_instant = self.clock(session)
            halfway = (steady_seconds() - began) / 2
        self._clock_reading = database_instant, began + halfway
        return database_instant - (local_instant + timedelta(seconds=halfway))

    def clock(self, session: Session) -> datetime:
        """The present instant by the database's clock, read in this session."""
        if self.is_sqlite:
            return self.utc_now()
        instant: datetime = session.scalar(text("SELECT clock_timestamp()"))
        return instant

    def check_existing(self) -> None:
        """Check that a record was made here before; a PostgreSQL is asked when it is first used.

        Raises:
            NotFound: the SQLite file is not there.
        """
        if self.file is not None and not self.file.exists():
            raise NotFound(
                f"There is no record at {self.file}, so there is nothing to read. Name it with --database "
                "sqlite:///FILE, or start in the folder where it lies; `tidegate serve` makes one."
            )

    def ping(self) -> None:
        """Check that the database answers.

        Raises:
            StoreUnavailable: it does not.
        """
        with self.reading() as session:
            session.execute(text("SELECT 1"))

    @contextmanager
    def _connected(self, options: dict[str, Any]) -> Iterator[Connection]:
        try:
            with self.engine.connect().execution_options(**options) as connection:
                yield connection
        except DBAPIError as error:
            raise self._store_error(error) from error

    def _store_error(self, error: DBAPIError) -> StoreUnavailable:
        if _is_full(error):
            return StorageFull(
                f"The disk of the database {self.label} is full: {error.orig}. Nothing was recorded. "
                "Make room, or let the monitor forget sooner (`tidegate settings`); what comes then is recorded again."
            )
        is_away = not self.is_sqlite and isinstance(error, OperationalError | InterfaceError)
        error_type = StoreAway if is_away else StoreUnavailable
        return error_type(
            f"The database {self.label} did not answer as it should: {error.orig}. "
            "Nothing was recorded. Check that it runs, has room on its disk, and that its URL is right."
        )

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _is_full(error: DBAPIError) -> bool:
    # pysqlite3 gives SQLite's text alone, without its error code.
    return getattr(error.orig, "sqlstate", None) == "53100" or "disk is full" in str(error.orig)


def _parse_url(database: str) -> URL:
    try:
        url = make_url(database)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise BadSettings(
            f"The database URL {database!r} can't be understood. "
            "Write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME."
        ) from error
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise BadSettings(f"Tidegate records in SQLite or PostgreSQL, and {backend!r} is neither.")
    return url


def _postgresql_engine(url: URL) -> Engine:
    # Without these a connection whose other end vanished, as behind a cut cable, is noticed after hours.
    connection_limits = {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    return create_engine(url, pool_pre_ping=True, connect_args={**connection_limits, **url.query})


def _sqlite_engine(url: URL, settings: StoreSettings) -> Engine:
    module = sqlite_module()
    is_wal_safe = wal_is_safe(module.sqlite_version_info)
    if not is_wal_safe:
        logger.warning(
            "SQLite %s can lose commits in WAL mode, so the slower DELETE journal is used. "
            "Install pysqlite3, or a Python with SQLite 3.51.3 or newer, for the fast one.",
            module.sqlite_version,
        )
    engine = create_engine(url, module=module, connect_args={"timeout": settings.busy_timeout_seconds})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        # The driver would begin a transaction at the first write, too late for BEGIN IMMEDIATE below.
        connection.isolation_level = None
        _set_journal(connection, "wal" if is_wal_safe else "delete", settings.busy_timeout_seconds)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that begins by reading fails at its first write if another one wrote in between.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _set_journal(connection: Any, mode: str, timeout_seconds: float) -> None:
    """Set the journal mode, which the file keeps. SQLite does not wait here for other processes that start, whatever its
    timeout, so this does."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == mode:
        return
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {mode}")
        except sqlite_module().OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
