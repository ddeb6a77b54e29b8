"""`tidegate doctor`: is this installation fit to run?"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tidegate.cli.options import Database

if TYPE_CHECKING:
    from store.settings import StoreSettings

_LITTLE_FREE_BYTES = 1024**3
_LARGE_CLOCK_DIFFERENCE_SECONDS = 2.0
_SIGNS = {"ok": ("✓", typer.colors.GREEN), "warning": ("!", typer.colors.YELLOW), "wrong": ("✗", typer.colors.RED)}


@dataclass(frozen=True)
class Symptom:
    """The result of one examination: `state` is `ok`, `warning` or `wrong`."""

    state: str
    sentence: str


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(database: Database = None) -> None:
    """**Examine** the installation: versions, database, migration, clock, disk, permissions. Exit with 1 if it can't run.

    Example: `tidegate doctor`
    """
    from store.errors import TidegateError
    from tidegate.settings import FILE, load_settings

    try:
        settings = load_settings(store={"database": database})
    except TidegateError as error:
        _print(Symptom("wrong", str(error)))
        raise typer.Exit(1) from error
    sources = f"{FILE} and the environment" if FILE.exists() else "the environment"
    symptoms = [
        Symptom("ok", f"the settings of {sources} fit"),
        *_examine_libraries(),
        *_examine_record(settings.store),
    ]
    for symptom in symptoms:
        _print(symptom)
    if any(symptom.state == "wrong" for symptom in symptoms):
        raise typer.Exit(1)


def _examine_libraries() -> Iterator[Symptom]:
    from store.database.engine import sqlite_module, wal_is_safe

    module = sqlite_module()
    if wal_is_safe(module.sqlite_version_info):
        yield Symptom("ok", f"SQLite {module.sqlite_version} keeps its log safely")
    else:
        yield Symptom(
            "warning",
            f"SQLite {module.sqlite_version} can lose commits in WAL mode, so the slower DELETE journal is used: "
            "install pysqlite3",
        )


def _examine_record(settings: "StoreSettings") -> Iterator[Symptom]:
    from store.database import migrate
    from store.database.engine import Database as Connection
    from store.errors import TidegateError

    try:
        connection = Connection(settings)
    except TidegateError as error:
        yield Symptom("wrong", str(error))
        return
    if connection.file is not None and not connection.file.exists():
        yield Symptom("ok", f"there is no record at {connection.file} yet: `tidegate serve` makes it")
        yield from _examine_folder("the record", connection.file.parent)
        return
    try:
        connection.ping()
        yield Symptom("ok", f"{connection.label} answers")
        current, head = migrate.current_revision(connection), migrate.head_revision()
        if current == head or (current is None and connection.is_sqlite):
            yield Symptom(
                "ok", f"its schema is at revision {head}" if current else "it is new, and is set up by itself"
            )
        else:
            yield Symptom("wrong", f"its schema is at {current or 'none'} and {head} is needed: tidegate db upgrade")
        difference = abs(connection.measure_clock().total_seconds())
        if difference > _LARGE_CLOCK_DIFFERENCE_SECONDS:
            yield Symptom(
                "warning",
                f"this machine's clock and the database's are {difference:,.1f} seconds apart; the database's decides. "
                "Synchronise them.",
            )
        else:
            yield Symptom("ok", "its clock and this machine's agree")
    except TidegateError as error:
        yield Symptom("wrong", str(error))
    finally:
        connection.close()
    if connection.is_sqlite:
        yield from _examine_folder("the record", Path(connection.url.database or ".").resolve().parent)
    else:
        yield from _examine_folder("the spool", Path(settings.spool).resolve())


def _examine_folder(what: str, folder: Path) -> Iterator[Symptom]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".tidegate-doctor"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        yield Symptom("wrong", f"{what} can't be written in {folder}: {error.strerror}")
        return
    free = shutil.disk_usage(folder).free
    state = "ok" if free > _LITTLE_FREE_BYTES else "warning"
    yield Symptom(state, f"{what} can be written in {folder}, with {free / 1e9:,.1f} GB free")


def _print(symptom: Symptom) -> None:
    sign, colour = _SIGNS[symptom.state]
    typer.secho(f"{sign} {symptom.sentence}", fg=colour)
