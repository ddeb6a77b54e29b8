"""Backup of a SQLite record while it is in use: a copy that is checked before it gets its name."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.database.engine import Database, sqlite_module
from store.errors import BadSettings, DamagedRecord


@dataclass(frozen=True)
class Backup:
    """A finished copy: its file, size and hash, and how many predictions it holds."""

    file: Path
    bytes: int
    sha256: str
    predictions: int


def back_up(database: Database, file: Path) -> Backup:
    """Copy the record page by page (SQLite's online backup), open the copy, check it, and only then give it its name.

    Raises:
        BadSettings: the record is in PostgreSQL, which has tools of its own, or the file exists.
        DamagedRecord: the copy is not sound; it was removed.
    """
    if not database.is_sqlite:
        raise BadSettings(
            f"{database.label} is a PostgreSQL: back it up with `pg_dump --format=custom`, or as its operator does."
        )
    if file.exists():
        raise BadSettings(f"{file} exists already, and a backup overwrites nothing. Name another file.")
    module: Any = sqlite_module()
    unfinished = file.with_name(f"{file.name}.part")
    unfinished.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with database.reading() as session:
            source: Any = session.connection().connection.driver_connection
            expected = session.connection().exec_driver_sql("SELECT count(*) FROM predictions").scalar_one()
            copy = module.connect(str(unfinished))
            try:
                source.backup(copy, pages=2_048, sleep=0.01)
                # Without a write-ahead log, so that the copy is one file.
                copy.execute("PRAGMA journal_mode = DELETE").fetchone()
            finally:
                copy.close()
        predictions = _check_copy(module, unfinished)
        if predictions < expected:
            raise DamagedRecord(f"The copy holds {predictions:,} predictions and the record held {expected:,}.")
        with unfinished.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = unfinished.stat().st_size
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return Backup(file, size, digest, predictions)


def _check_copy(module: Any, file: Path) -> int:
    """Check that a copy is sound, and count its predictions."""
    copy = module.connect(str(file))
    try:
        problems = [line for (line,) in copy.execute("PRAGMA integrity_check").fetchall() if line != "ok"]
        problems += [f"a row of {row[0]} has no row in {row[2]}" for row in copy.execute("PRAGMA foreign_key_check")]
        if problems:
            raise DamagedRecord(
                f"The copy is not sound ({'; '.join(problems[:3])}), so it was not kept. `tidegate fsck` looks at the record "
                "itself."
            )
        return int(copy.execute("SELECT count(*) FROM predictions").fetchone()[0])
    finally:
        copy.close()
