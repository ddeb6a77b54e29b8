"""Whether the record is sound: the file, what belongs together, the vectors, the tallies, the spool."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from store.database.engine import Database
from store.database.partitions import TABLES
from store.database.tables import CounterRow, InputRow, ModelRow, PredictionRow
from store.recording.bulk_insert import recount
from store.recording.spool import Spool, files_set_aside


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, what it means, and what `--repair` does about it (None: nothing)."""

    what: str
    repair: str | None = None


def examine(database: Database) -> Iterator[Finding]:
    """Look at everything; nothing is changed.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    with database.reading() as session:
        connection = session.connection()
        if database.is_sqlite:
            yield from _file(connection)
        yield from _vectors(connection)
        yield from _tallies(connection)
        yield from _inputs(connection)
        if not database.is_sqlite:
            yield from _partitions(connection)
    yield from _spool(database)


def repair(database: Database) -> list[str]:
    """Mend what can be mended without losing anything, and say what was done."""
    done = []
    with database.writing() as session:
        connection = session.connection()
        wrong = list(_tallies(connection))
        if wrong:
            models = recount(connection)
            done.append(f"counted the predictions of {models} models again")
    spool = _opened(database)
    if spool is not None:
        if number := spool.put_back():
            done.append(f"put {number} batches back into the spool; a running gateway brings them to the database")
        spool.close()
    return done


def _file(connection: Connection) -> Iterator[Finding]:
    for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if line != "ok":
            yield Finding(f"the database file is damaged: {line}. Restore a backup.")
    for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield Finding(f"a row of {row[0]} belongs to a row of {row[2]} that is gone")


def _vectors(connection: Connection) -> Iterator[Finding]:
    sizes = (
        select(PredictionRow.model_sha256, func.length(PredictionRow.embedding), func.length(PredictionRow.logits))
        .where(func.length(PredictionRow.embedding) > 0)
        .distinct()
    )
    seen: dict[str, set[tuple[int, int]]] = {}
    for sha256, embedding, logits in connection.execute(sizes):
        seen.setdefault(sha256, set()).add((embedding, logits))
    for sha256, lengths in seen.items():
        if len(lengths) > 1:
            yield Finding(f"embeddings or logits of model {sha256[:12]} have {len(lengths)} different lengths")
        if any((embedding - 4) % 2 or (logits - 4) % 4 for embedding, logits in lengths):
            yield Finding(f"embeddings or logits of model {sha256[:12]} are cut short")


def _tallies(connection: Connection) -> Iterator[Finding]:
    counts = select(PredictionRow.model_sha256, func.count()).group_by(PredictionRow.model_sha256)
    sums = select(CounterRow.model_sha256, func.sum(CounterRow.count)).group_by(CounterRow.model_sha256)
    counted = {sha256: int(number) for sha256, number in connection.execute(counts)}
    tallied = {sha256: int(number) for sha256, number in connection.execute(sums)}
    for sha256 in connection.scalars(select(ModelRow.sha256)):
        have, say = counted.get(sha256, 0), tallied.get(sha256, 0)
        # More is right: tallies are kept for longer than what they count.
        if say < have:
            yield Finding(f"model {sha256[:12]} has {have:,} predictions and {say:,} are counted", "counts again")


def _inputs(connection: Connection) -> Iterator[Finding]:
    missing = connection.scalar(
        select(func.count())
        .select_from(InputRow)
        .outerjoin(PredictionRow, PredictionRow.id == InputRow.prediction_id)
        .where(PredictionRow.id.is_(None))
    )
    if missing:
        yield Finding(f"{missing:,} inputs are kept of predictions that are gone; the monitor forgets them with time")


def _partitions(connection: Connection) -> Iterator[Finding]:
    for table in TABLES:
        number = connection.scalar(text(f"SELECT count(*) FROM {table}_default"))
        if number:
            yield Finding(
                f"{number:,} rows of {table} lie in no day's partition; the monitor makes partitions: is it running?"
            )


def _spool(database: Database) -> Iterator[Finding]:
    spool = _opened(database)
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
    for file in files_set_aside(spool.path):
        yield Finding(f"{file} is a spool that was damaged; what it holds is not in the database. Keep or remove it.")


def _opened(database: Database) -> Spool | None:
    path = database.settings.spool_file
    if database.is_sqlite or not path.exists():
        return None
    return Spool(path, database.settings.spool_bytes)
