"""Sums by the minute: what a gateway adds up while it answers, so that any window is checked without its rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import select
from sqlalchemy.orm import Session

from store.engine import Database
from store.tables import MinuteRow


@dataclass(frozen=True)
class MinuteRecord:
    """Sums of one minute of one writer. `features_sha256` names the map whose features `(f,)` were added up."""

    model_sha256: str
    minute: datetime
    writer: UUID
    features_sha256: str
    count: int
    flagged: int
    sums: npt.NDArray[np.float64]


class MinuteRepository:
    """Every minute."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, session: Session, records: Iterable[MinuteRecord]) -> None:
        """Write minutes as they stand now, in the caller's transaction; a writer replaces its own."""
        for record in records:
            session.merge(
                MinuteRow(
                    model_sha256=record.model_sha256,
                    minute=record.minute,
                    writer=record.writer,
                    features_sha256=record.features_sha256,
                    count=record.count,
                    flagged=record.flagged,
                    sums=record.sums.astype("<f4").tobytes(),
                )
            )
        session.flush()

    def between(self, model_sha256: str, since: datetime, until: datetime, features_sha256: str) -> list[MinuteRecord]:
        """The minutes that begin at `since` or after it and before `until`, added up by the named map."""
        query = select(MinuteRow).where(
            MinuteRow.model_sha256 == model_sha256,
            MinuteRow.minute >= since,
            MinuteRow.minute < until,
            MinuteRow.features_sha256 == features_sha256,
        )
        with self._database.reading() as session:
            return [
                MinuteRecord(
                    row.model_sha256,
                    row.minute,
                    row.writer,
                    row.features_sha256,
                    row.count,
                    row.flagged,
                    np.frombuffer(row.sums, "<f4").astype(np.float64),
                )
                for row in session.scalars(query)
            ]
