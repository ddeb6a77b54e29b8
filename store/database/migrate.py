"""Upgrading a database to the schema of this version, and refusing one that is newer."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from store.database.engine import Database
from store.database.partitions import is_partition
from store.errors import StoreUnavailable

# An arbitrary number that names the advisory lock: of several processes that start, one migrates while the others wait.
_POSTGRESQL_LOCK = 7_433_001


def migrations_folder() -> Path:
    """The folder of migrations: in the installed package, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "alembic"


def is_described(name: str | None, kind: str, _parents: object) -> bool:
    """Whether `store.database.tables` describes something of this name. It does not describe partitions, which come and go.

    Alembic's `include_name`.
    """
    return kind != "table" or not is_partition(name)


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


def head_revision() -> str:
    """The newest revision this version knows."""
    head = ScriptDirectory.from_config(_alembic_config()).get_current_head()
    if head is None:
        raise StoreUnavailable("This installation holds no migrations. Install Tidegate again.")
    return head


def current_revision(database: Database) -> str | None:
    """The revision the database is at; None for an empty one.

    Raises:
        StoreUnavailable: the database can't be read.
    """
    with database.reading() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def upgrade(database: Database) -> str:
    """Upgrade the database to the newest revision and return it. Of several processes the first upgrades, the others wait.

    Raises:
        StoreUnavailable: the database is newer than this code, or can't be changed.
    """
    head = head_revision()
    # The lock is held by the same transaction that reads the revision and migrates; on SQLite it is BEGIN IMMEDIATE.
    with database.writing() as session:
        connection = session.connection()
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": _POSTGRESQL_LOCK})
        current = MigrationContext.configure(connection).get_current_revision()
        if current == head:
            return head
        config = _alembic_config()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise _newer_database(database, current) from error
        except DBAPIError as error:
            raise StoreUnavailable(
                f"The database {database.label} could not be migrated: {error.orig}. "
                "It was left as it was. See that this user may change tables, then run `tidegate db upgrade` again."
            ) from error
    return head


def downgrade(database: Database, revision: str) -> None:
    """Take the database back to an older revision (`base` empties it)."""
    with database.writing() as session:
        config = _alembic_config()
        config.attributes["connection"] = session.connection()
        command.downgrade(config, revision)


def ensure_current(database: Database) -> None:
    """Upgrade an embedded SQLite file by itself; for PostgreSQL, refuse unless an operator has upgraded it.

    Raises:
        StoreUnavailable: the database is newer than this code, or an upgrade is needed.
    """
    if database.is_sqlite:
        upgrade(database)
        return
    current, head = current_revision(database), head_revision()
    if current == head:
        return
    script = ScriptDirectory.from_config(_alembic_config())
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise _newer_database(database, current)
    raise StoreUnavailable(
        f"The database {database.label} is at revision {current or 'none (it is empty)'} and this version needs "
        f"{head}. Run `tidegate db upgrade --database URL` once, then start again."
    )


def _newer_database(database: Database, current: str | None) -> StoreUnavailable:
    return StoreUnavailable(
        f"The database {database.label} is at revision {current}, which this version of Tidegate does not know: "
        "a newer version made it. Nothing was changed. Install that version, or name another database."
    )
