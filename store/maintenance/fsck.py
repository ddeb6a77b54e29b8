"""Checks that the record is sound: the database file, foreign keys, vectors, counters, partitions, the spool."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from store.database.engine import Database
from store.database.partitions import TABLES
from store.database.tables import CounterRow, InputRow, ModelRow, PredictionRow
from store.recording.bulk_insert import recount
from store.recording.spool import Spool, damaged_files


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and what `--repair` does about it (None: nothing)."""

    what: str
    repair: str | None = None


def examine(database: Database) -> Iterator[Finding]:
    """Check everything; nothing is changed.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    with database.reading() as session:
        connection = session.connection()
        if database.is_sqlite:
            yield from _check_file(connection)
        yield from _check_vectors(connection)
        yield from _check_counters(connection)
        yield from _check_inputs(connection)
        if not database.is_sqlite:
            yield from _check_partitions(connection)
    yield from _check_spool(database)


def repair(database: Database) -> list[str]:
    """Mend what can be mended without losing anything, and describe what was done."""
    done = []
    with database.writing() as session:
        connection = session.connection()
        if any(_check_counters(connection)):
            models = recount(connection)
            done.append(f"counted the predictions of {models} models again")
    spool = _open_spool(database)
    if spool is not None:
        if batches := spool.put_back():
            done.append(f"put {batches} batches back into the spool; a running gateway brings them to the database")
        spool.close()
    return done


def _check_file(connection: Connection) -> Iterator[Finding]:
    for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if line != "ok":
            yield Finding(f"the database file is damaged: {line}. Restore a backup.")
    for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield Finding(f"a row of {row[0]} belongs to a row of {row[2]} that is gone")


def _check_vectors(connection: Connection) -> Iterator[Finding]:
    query = (
        select(PredictionRow.model_sha256, func.length(PredictionRow.embedding), func.length(PredictionRow.logits))
        .where(func.length(PredictionRow.embedding) > 0)
        .distinct()
    )
    lengths_by_model: dict[str, set[tuple[int, int]]] = {}
    for sha256, embedding, logits in connection.execute(query):
        lengths_by_model.setdefault(sha256, set()).add((embedding, logits))
    for sha256, lengths in lengths_by_model.items():
        if len(lengths) > 1:
            yield Finding(f"embeddings or logits of model {sha256[:12]} have {len(lengths)} different lengths")
        if any((embedding - 4) % 2 or (logits - 4) % 4 for embedding, logits in lengths):
            yield Finding(f"embeddings or logits of model {sha256[:12]} are cut short")


def _check_counters(connection: Connection) -> Iterator[Finding]:
    rows_query = select(PredictionRow.model_sha256, func.count()).group_by(PredictionRow.model_sha256)
    counters_query = select(CounterRow.model_sha256, func.sum(CounterRow.count)).group_by(CounterRow.model_sha256)
    rows_by_model = {sha256: int(rows) for sha256, rows in connection.execute(rows_query)}
    counted_by_model = {sha256: int(counted) for sha256, counted in connection.execute(counters_query)}
    for sha256 in connection.scalars(select(ModelRow.sha256)):
        rows, counted = rows_by_model.get(sha256, 0), counted_by_model.get(sha256, 0)
        # More is right: counters are kept for longer than the predictions that they count.
        if counted < rows:
            yield Finding(f"model {sha256[:12]} has {rows:,} predictions and {counted:,} are counted", "counts again")


def _check_inputs(connection: Connection) -> Iterator[Finding]:
    orphans = connection.scalar(
        select(func.count())
        .select_from(InputRow)
        .outerjoin(PredictionRow, PredictionRow.id == InputRow.prediction_id)
        .where(PredictionRow.id.is_(None))
    )
    if orphans:
        yield Finding(f"{orphans:,} inputs are kept of predictions that are gone; the monitor forgets them with time")


def _check_partitions(connection: Connection) -> Iterator[Finding]:
    for table in TABLES:
        rows = connection.scalar(text(f"SELECT count(*) FROM {table}_default"))
        if rows:
            yield Finding(
                f"{rows:,} rows of {table} lie in no day's partition; the monitor makes partitions: is it running?"
            )


def _check_spool(database: Database) -> Iterator[Finding]:
    spool = _open_spool(database)
    if spool is None:
        return
    try:
        for problem in spool.problems():
            yield Finding(f"the spool {spool.path}: {problem}")
        depth = spool.depth()
        if depth.put_aside:
            yield Finding(
                f"{depth.put_aside:,} predictions in the spool were put aside as the database refused them, or they "
                "could not be read",
                "puts them back into the queue",
            )
    finally:
        spool.close()
    for file in damaged_files(spool.path):
        yield Finding(f"{file} is a spool that was damaged; what it holds is not in the database. Keep or remove it.")


def _open_spool(database: Database) -> Spool | None:
    path = database.settings.spool_file
    if database.is_sqlite or not path.exists():
        return None
    return Spool(path, database.settings.spool_bytes)
