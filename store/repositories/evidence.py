"""The evidence of runs that raised alerts, frozen when they did."""

import zlib
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.orm import Session

from store.database.engine import Database
from store.database.tables import EvidenceRow
from store.errors import NotFound


class EvidenceRepository:
    """All frozen evidence."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def freeze(self, session: Session, run_id: UUID, document: dict[str, Any]) -> None:
        """Keep what a run was made from, in the caller's transaction."""
        session.add(EvidenceRow(run_id=run_id, document=zlib.compress(orjson.dumps(document))))
        session.flush()

    def get(self, run_id: UUID) -> dict[str, Any]:
        """The evidence of a run.

        Raises:
            NotFound: the run raised no alert, or there is no such run.
        """
        with self._database.reading() as session:
            row = session.get(EvidenceRow, run_id)
        if row is None:
            raise NotFound(f"No evidence is frozen for run {run_id}: it raised no alert, or there is no such run.")
        document: dict[str, Any] = orjson.loads(zlib.decompress(row.document))
        return document
