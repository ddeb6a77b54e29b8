"""Export of predictions to Parquet files, in bounded memory."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import or_, select

from store.database.engine import Database
from store.database.tables import PredictionRow
from store.recording.embedding_codec import decode_embeddings, decode_logits

_ROWS_AT_ONCE = 5_000
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("model_sha256", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("prediction", pa.string()),
        ("class_index", pa.int32()),
        ("confidence", pa.float64()),
        ("ood_score", pa.float64()),
        ("ood_p_value", pa.float64()),
        ("flagged", pa.bool_()),
        ("latency_seconds", pa.float64()),
        ("tags", pa.string()),
        ("mirrors_id", pa.string()),
        ("logits", pa.list_(pa.float32())),
        ("embedding", pa.list_(pa.float16())),
    ]
)


def export_predictions(database: Database, model_sha256: str, since: datetime, until: datetime, file: Path) -> int:
    """Write one model's predictions after `since` and up to `until` to a Parquet file, and return how many.

    The file gets its name when it is complete. Embeddings are lists of float16, empty where they were deleted; tags are
    JSON.
    """
    written = 0
    unfinished = file.with_name(f"{file.name}.part")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with pq.ParquetWriter(unfinished, SCHEMA, compression="zstd") as writer:
            for table in _read_tables(database, model_sha256, since, until):
                writer.write_table(table)
                written += table.num_rows
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return written


def _read_tables(database: Database, model_sha256: str, since: datetime, until: datetime) -> Iterator[pa.Table]:
    last = None
    while True:
        query = select(PredictionRow).where(
            PredictionRow.model_sha256 == model_sha256, PredictionRow.at > since, PredictionRow.at <= until
        )
        if last is not None:
            query = query.where(
                or_(PredictionRow.at > last.at, (PredictionRow.at == last.at) & (PredictionRow.id > last.id))
            )
        query = query.order_by(PredictionRow.at, PredictionRow.id).limit(_ROWS_AT_ONCE)
        # A session for each table: a reader that stays open keeps SQLite's log from being cleared.
        with database.reading() as session:
            rows = list(session.scalars(query))
        if not rows:
            return
        last = rows[-1]
        yield _arrow_table(rows)


def _arrow_table(rows: list[PredictionRow]) -> pa.Table:
    columns = {
        "id": [str(row.id) for row in rows],
        "tags": [None if row.tags is None else orjson.dumps(row.tags).decode() for row in rows],
        "mirrors_id": [None if row.mirrors_id is None else str(row.mirrors_id) for row in rows],
        "logits": [decode_logits([row.logits])[0].tolist() for row in rows],
        "embedding": [
            decode_embeddings([row.embedding])[0].astype(np.float16) if row.embedding else [] for row in rows
        ],
    }
    arrays = [
        pa.array(columns.get(field.name) or [getattr(row, field.name) for row in rows], field.type) for field in SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
