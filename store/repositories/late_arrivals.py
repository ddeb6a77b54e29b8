"""Predictions that came into the record after their time: from the spool, from elsewhere, or sent again."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from store.database.engine import Database
from store.database.tables import LateArrivalRow


class LateArrivalRepository:
    """Every minute that more predictions have come to since it was over."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def minutes(self, model_sha256: str) -> dict[datetime, int]:
        """The minutes of one model, and how many came late."""
        query = select(LateArrivalRow).where(LateArrivalRow.model_sha256 == model_sha256)
        with self._database.reading() as session:
            return {row.minute: row.count for row in session.scalars(query)}

    def settle(self, session: Session, model_sha256: str, seen: Mapping[datetime, int]) -> None:
        """Forget what was seen, in the caller's transaction; a minute to which more has come meanwhile stays."""
        for minute, count in seen.items():
            session.execute(
                delete(LateArrivalRow).where(
                    LateArrivalRow.model_sha256 == model_sha256,
                    LateArrivalRow.minute == minute,
                    LateArrivalRow.count == count,
                )
            )
